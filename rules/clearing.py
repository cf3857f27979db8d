"""When a limit clears: the earliest time at which the same purchase, tried again, would no longer break it.

Nothing else is assumed to happen until then. The retry counts itself, as the first attempt did; the first
attempt stays in the window as well, unless only approved purchases are counted and it was declined. The time
is never before the newest purchase that is known.
"""

from __future__ import annotations

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
    window = feature.window
    after_ms = clock.bounds_ms(window.period, from_ms)[0] - 1 if isinstance(window, Calendar) else None
    for time_ms, weight, value in _newest_first(feature, logs, retry):
        if after_ms is not None and time_ms <= after_ms:
            break
        tally.add(weight, value)
        if tally.size > limit:
            if isinstance(window, Trailing):
                return max(from_ms, time_ms + window.length_ms)
            assert window is not None
            return clock.bounds_ms(window.period, from_ms)[1]
    return from_ms


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
