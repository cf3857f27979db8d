"""Local time of many purchases: the hour and the weekday, and where calendar periods began."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np

from rules.calendar import PeriodClock
from rules.columns.table import Ints
from rules.plan import Period

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
# 1 January 1970 was a Thursday, the fourth day of its week.
_FIRST_WEEKDAY: Final = 3


def local_ms(clock: PeriodClock, time_ms: Ints) -> Ints:
    """The reading of local clocks, as milliseconds since they showed 1 January 1970, 0:00.

    The offset from UTC is asked at the ends of each hour that has a purchase, and for each purchase of an hour
    in which it changes.
    """
    hours, inverse = np.unique(time_ms // _HOUR_MS, return_inverse=True)
    ends = np.union1d(hours, hours + 1)
    offsets = np.array([_offset_ms(clock, hour * _HOUR_MS) for hour in ends.tolist()], np.int64)
    at_begin, at_end = offsets[np.searchsorted(ends, hours)], offsets[np.searchsorted(ends, hours + 1)]
    offset = at_begin[inverse]
    for row in np.flatnonzero((at_begin != at_end)[inverse]).tolist():
        offset[row] = _offset_ms(clock, int(time_ms[row]))
    return time_ms + offset


def _offset_ms(clock: PeriodClock, time_ms: int) -> int:
    offset = clock.local(time_ms).utcoffset()
    assert offset is not None, "the clock has a zone"
    return offset // timedelta(milliseconds=1)


def hours_of(local: Ints) -> Ints:
    """Hours of the local day, 0 to 23."""
    return local // _HOUR_MS % 24


def weekdays_of(local: Ints) -> Ints:
    """Days of the week, Monday 1 to Sunday 7."""
    return (local // _DAY_MS + _FIRST_WEEKDAY) % 7 + 1


def period_starts_ms(clock: PeriodClock, period: Period, time_ms: Ints) -> Ints:
    """When the period began that holds each time; the times must not fall."""
    starts = np.empty(len(time_ms), np.int64)
    row = 0
    while row < len(time_ms):
        start_ms, next_ms = clock.bounds_ms(period, int(time_ms[row]))
        end = max(int(np.searchsorted(time_ms, next_ms)), row + 1)
        starts[row:end] = start_ms
        row = end
    return starts
