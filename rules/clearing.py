"""When a limit clears: the earliest time at which the same purchase, tried again, would no longer break it.

Nothing else is assumed to happen until then. The retry counts itself, as the first attempt did; the first
attempt stays in the window as well, unless only approved purchases are counted and it was declined. Of fraud
neither is known to be any. The time is never before the newest purchase that is known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from heapq import merge
from operator import itemgetter
from typing import Final

from models.purchase_fields import PurchaseFields
from rules.calendar import PeriodClock
from rules.entity import value_hash
from rules.plan import Aggregate, Calendar, EntityPlan, Feature, Outcome, Trailing
from rules.velocity import EntityLogs, Subject
from rules.windows import WindowLog

# When each of a feature's comparisons ends to hold, in the order of its clearings (None: never, or it does not hold);
# empty where none of them holds.
Clears = Sequence[int | None]
# Times of purchases in their order, and running totals of what is counted: before each of them and behind the last.
_Totals = tuple[Sequence[int], Sequence[int]]
# Times of purchases in their order, and their hashes of a field: 0 where it is missing.
_Column = tuple[Sequence[int], Sequence[int]]

_NO_LIMIT: Final = float("inf")
_NEVER_MS: Final = -(2**63)
_NO_END_MS: Final = 2**63
# The logs of `EntityLogs` that a feature is counted over.
_LOGS: Final = {
    None: ("approved", "declined", "released"),
    Outcome.APPROVED: ("approved",),
    Outcome.DECLINED: ("declined",),
    Outcome.FRAUD: ("fraud",),
}
_time: Final = itemgetter(0)


class Clearer:
    """Tells when a feature's comparisons end to hold: how the feature counts is looked up once.

    Only what is approved stays as approved, and nothing is known to be fraud when it is decided.
    """

    __slots__ = ("_adds", "_counts_itself", "_field", "_limits", "_logs", "_stays", "_window", "lowest")

    def __init__(self, feature: Feature) -> None:
        outcome = feature.outcome
        # For each comparison, the largest value that does not match.
        self._limits = [each.threshold if each.op == ">" else each.threshold - 1 for each in feature.clearings]
        self.lowest = min(self._limits, default=_NO_LIMIT)
        self._window = feature.window
        self._logs = _LOGS[outcome]
        self._stays = outcome is None or outcome is Outcome.DECLINED
        self._counts_itself = outcome is None or outcome is Outcome.APPROVED
        self._adds = feature.aggregate is Aggregate.SUM
        self._field = feature.field if feature.aggregate is Aggregate.DISTINCT else None

    def clears(self, value: int | None, logs: EntityLogs, subject: Subject, clock: PeriodClock) -> Clears:
        """When each comparison ends to hold, where this is the feature's value."""
        if value is None or value <= self.lowest:
            return ()
        purchase, amount_minor, _, known = subject
        from_ms = purchase.event_time
        counted: list[WindowLog] = []
        for name in self._logs:
            log: WindowLog | None = getattr(logs, name)
            if log is not None and log.times:
                counted.append(log)
                if log.times[-1] > from_ms:
                    from_ms = log.times[-1]
        stays = self._stays and not known
        if self._field is not None:
            broken = self._distinct(self._field, value, counted, purchase, stays=stays)
        else:
            broken = self._added(value, counted, purchase.event_time, amount_minor if self._adds else 1, stays=stays)
        return [None if broken_ms is None else self._end_ms(broken_ms, from_ms, clock) for broken_ms in broken]

    def _added(
        self, value: int, counted: Sequence[WindowLog], time_ms: int, weight: int, *, stays: bool
    ) -> list[int | None]:
        """For each limit, the newest time since which more is counted or summed up.

        None where it is not exceeded, or always will be.
        """
        adds, itself = self._adds, weight if self._counts_itself else 0
        totals: list[_Totals] = [(log.times, log.sums if adds else log.counts) for log in counted]
        if stays:
            totals.append(((time_ms,), (0, weight)))
        return [_newest_over(totals, limit - itself) if itself <= limit < value else None for limit in self._limits]

    def _distinct(
        self, field: str, value: int, counted: Sequence[WindowLog], purchase: PurchaseFields, *, stays: bool
    ) -> list[int | None]:
        """The same where values are counted."""
        own = value_hash(purchase, field)
        itself = {own} if own and self._counts_itself else set[int]()
        columns: list[_Column] = [(log.times, log.columns[field]) for log in counted if field in log.columns]
        if stays:
            columns.append(((purchase.event_time,), (own,)))
        return [
            _newest_beyond(columns, set(itself), limit) if len(itself) <= limit < value else None
            for limit in self._limits
        ]

    def _end_ms(self, broken_ms: int, from_ms: int, clock: PeriodClock) -> int:
        """From when on the window no longer holds the purchases since `broken_ms`, which are too many."""
        window = self._window
        if isinstance(window, Trailing):
            return max(from_ms, broken_ms + window.length_ms)
        assert isinstance(window, Calendar)
        start_ms, end_ms = clock.bounds_ms(window.period, from_ms)
        return from_ms if broken_ms < start_ms else end_ms


def _newest_over(totals: Sequence[_Totals], left: int) -> int:
    """The newest time since which more than `left` was counted; `_NEVER_MS` where no more was counted at all."""
    # So much was counted before a time since which more than `left` was, all totals taken together.
    over, in_all = -left, 0
    for _, running in totals:
        over += running[-1]
        in_all += running[-1] - running[0]
    # More was counted since the one time, and no more since the other.
    broken_ms, kept_ms = _NEVER_MS, _NO_END_MS
    for times, running in totals:
        low, high = bisect_right(times, broken_ms) - 1, bisect_left(times, kept_ms) - 1
        if low == high:
            continue
        # Where these rows alone are too many, and where they are not with all others, is known at once.
        least = running[-1] - left
        low = max(low, bisect_left(running, least, 0, high + 1) - 1)
        high = min(high, bisect_left(running, least + in_all - running[-1] + running[0], 0, high + 1) - 1)
        while low < high:
            middle = (low + high + 1) // 2
            time_ms, before = times[middle], 0
            for of_each, counted in totals:
                before += counted[bisect_left(of_each, time_ms)]
            if before < over:
                low = middle
            else:
                high = middle - 1
        if low >= 0:
            broken_ms = max(broken_ms, times[low])
        if low + 1 < len(times):
            kept_ms = min(kept_ms, times[low + 1])
    return broken_ms


def _newest_beyond(columns: Sequence[_Column], values: set[int], limit: int) -> int:
    """The newest time since which, with `values`, more than `limit` values came; `_NEVER_MS` where no more came."""
    newest_first = [zip(reversed(times), reversed(column), strict=True) for times, column in columns]
    for time_ms, value in newest_first[0] if len(newest_first) == 1 else merge(*newest_first, key=_time, reverse=True):
        if value and value not in values:
            values.add(value)
            if len(values) > limit:
                return time_ms
    return _NEVER_MS


@lru_cache(maxsize=4096)
def clearers_of(plan: EntityPlan) -> tuple[Clearer, ...]:
    """What tells when the comparisons of a plan's features end to hold, in its order."""
    return tuple(map(Clearer, plan.features))


@lru_cache(maxsize=4096)
def _compared(plan: EntityPlan) -> list[tuple[int, float, Clearer]]:
    """The features that have comparisons: slot, largest value that none of them matches, and what tells."""
    return [
        (slot, clearer.lowest, clearer)
        for slot, clearer in enumerate(clearers_of(plan))
        if plan.features[slot].clearings
    ]


def clears_of_all(
    plan: EntityPlan, values: Sequence[int | None], logs: EntityLogs, subject: Subject, clock: PeriodClock
) -> list[Clears]:
    """What clears each of a plan's features, whose values these are."""
    clears: list[Clears] = [()] * len(values)
    for slot, lowest, clearer in _compared(plan):
        value = values[slot]
        if value is not None and value > lowest:
            clears[slot] = clearer.clears(value, logs, subject, clock)
    return clears
