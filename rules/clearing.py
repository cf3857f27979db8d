"""When a limit clears: the earliest time at which the same purchase, tried again, would no longer break it.

Nothing else is assumed to happen until then. The retry counts itself, as the first attempt did; the first
attempt stays in the window as well, unless only approved purchases are counted and it was declined. Of fraud
neither is known to be any. The time is never before the newest purchase that is known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from heapq import merge
from typing import NamedTuple

from rules.calendar import PeriodClock
from rules.plan import Aggregate, Calendar, Clearing, Feature, Trailing
from rules.windows import WindowLog


class Retry(NamedTuple):
    """What an attempt brings to a retry of itself.

    Its time, amount and distinct value (a hash, 0 where it has none); whether it stays in the logs beside the
    retry, and whether the retry counts itself.
    """

    time_ms: int
    amount_minor: int
    value: int
    stays: bool
    counts_itself: bool


def clears_at(
    feature: Feature, clearing: Clearing, logs: Sequence[WindowLog], retry: Retry, clock: PeriodClock
) -> int | None:
    """Epoch milliseconds at which `feature op threshold` ends to hold for a retry; None: never, or unknown."""
    if feature.aggregate not in (Aggregate.COUNT, Aggregate.SUM, Aggregate.DISTINCT):
        return None
    # The largest value that no longer matches.
    limit = clearing.threshold if clearing.op == ">" else clearing.threshold - 1
    tally = _Tally(feature, retry)
    if tally.size > limit:
        return None
    from_ms = max([retry.time_ms, *(log.times[-1] for log in logs if len(log))])
    if len(logs) == 1 and feature.aggregate is not Aggregate.DISTINCT:
        broken_ms = _broken_by_totals(feature, logs[0], retry, limit - tally.size)
    else:
        broken_ms = _broken_by_walking(feature, logs, retry, tally, limit)
    window = feature.window
    if isinstance(window, Trailing):
        return from_ms if broken_ms is None else max(from_ms, broken_ms + window.length_ms)
    assert isinstance(window, Calendar)
    start_ms, end_ms = clock.bounds_ms(window.period, from_ms)
    return from_ms if broken_ms is None or broken_ms < start_ms else end_ms


def _broken_by_walking(
    feature: Feature, logs: Sequence[WindowLog], retry: Retry, tally: _Tally, limit: int
) -> int | None:
    """The time of the newest row that, with all newer ones, brings the tally over the limit; None where none does."""
    for time_ms, weight, value in _newest_first(feature, logs, retry):
        tally.add(weight, value)
        if tally.size > limit:
            return time_ms
    return None


def _broken_by_totals(feature: Feature, log: WindowLog, retry: Retry, left: int) -> int | None:
    """The same by the running totals of one log, where no more than `left` may be counted."""
    totals = log.sums if feature.aggregate is Aggregate.SUM else log.counts
    times, rows = log.times, len(log.times)
    # Rows newer than the attempt, then the attempt itself where it stays, then the older ones.
    newer = bisect_right(times, retry.time_ms) if retry.stays else 0
    index = bisect_left(totals, totals[rows] - left, newer, rows + 1) - 1
    if index >= newer:
        return times[index]
    if not retry.stays:
        return None
    left -= retry.amount_minor if feature.aggregate is Aggregate.SUM else 1
    if totals[rows] - totals[newer] > left:
        return retry.time_ms
    index = bisect_left(totals, totals[rows] - left, 0, newer + 1) - 1
    return times[index] if index >= 0 else None


class _Tally:
    """The feature's value for a retry, while ever older rows are counted in."""

    def __init__(self, feature: Feature, retry: Retry) -> None:
        self.size = 0
        self._values: set[int] | None = set() if feature.aggregate is Aggregate.DISTINCT else None
        if retry.counts_itself:
            self.add(retry.amount_minor if feature.aggregate is Aggregate.SUM else 1, retry.value)

    def add(self, weight: int, value: int) -> None:
        if self._values is None:
            self.size += weight
        elif value:
            self._values.add(value)
            self.size = len(self._values)


def _newest_first(feature: Feature, logs: Sequence[WindowLog], retry: Retry) -> Iterator[tuple[int, int, int]]:
    """(time, weight, distinct value) of every row, the attempt among them where it stays."""
    sources: list[Iterator[tuple[int, int, int]]] = [_log_newest_first(feature, log) for log in logs]
    if retry.stays:
        weight = retry.amount_minor if feature.aggregate is Aggregate.SUM else 1
        sources.append(iter([(retry.time_ms, weight, retry.value)]))
    return merge(*sources, key=lambda row: -row[0])


def _log_newest_first(feature: Feature, log: WindowLog) -> Iterator[tuple[int, int, int]]:
    totals = log.sums if feature.aggregate is Aggregate.SUM else log.counts
    column = log.columns.get(feature.field) if feature.field is not None else None
    for index in range(len(log) - 1, -1, -1):
        value = column[index] if column is not None else 0
        yield log.times[index], totals[index + 1] - totals[index], value
