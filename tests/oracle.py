"""A slow, obvious oracle: every purchase of an entity in a list, every feature a loop over that list.

It knows no partitions, no windows logs, no merging and no forgetting.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from models.purchase import Purchase
from rules.plan import Aggregate, Calendar, Clearing, Feature, Outcome, Period, Trailing

APPROVED, DECLINED = "approved", "declined"


@dataclass(frozen=True)
class Seen:
    """A purchase that was entered, with its outcome."""

    purchase: Purchase
    amount_minor: int
    outcome: str = APPROVED

    @property
    def time_ms(self) -> int:
        return self.purchase.event_time


@dataclass
class EntityHistory:
    """All that happened to one entity, in the order of arrival; `fraud` are the purchases that labels told of."""

    seen: list[Seen] = field(default_factory=list[Seen])
    fraud: list[Seen] = field(default_factory=list[Seen])

    def tell(self, fraud: Seen) -> None:
        """A label comes; what was told before stays as it was told first."""
        if all(s.purchase.transaction_id != fraud.purchase.transaction_id for s in self.fraud):
            self.fraud.append(fraud)

    def has(self, transaction_id: str) -> bool:
        return any(s.purchase.transaction_id == transaction_id for s in self.seen)


def local_date_start_ms(zone: ZoneInfo, event_time_ms: int, period: Period) -> int:
    """The first instant, to the minute, whose local date lies in the same period: found by walking back."""
    return _first_minute(zone, event_time_ms // 60_000, period) * 60_000


@lru_cache(maxsize=4096)
def _first_minute(zone: ZoneInfo, minute: int, period: Period) -> int:
    wanted = _period_of(zone, minute * 60_000, period)
    step = 4096
    while step >= 1:
        while _period_of(zone, (minute - step) * 60_000, period) == wanted:
            minute -= step
        step //= 2
    return minute


def _period_of(zone: ZoneInfo, event_time_ms: int, period: Period) -> tuple[int, ...]:
    local = datetime.fromtimestamp(event_time_ms // 1000, zone)
    if period is Period.TODAY:
        return (local.year, local.month, local.day)
    if period is Period.THIS_WEEK:
        monday = local.date() - timedelta(days=local.weekday())
        return (monday.year, monday.month, monday.day)
    return (local.year, local.month)


def in_window(feature: Feature, zone: ZoneInfo, at_ms: int) -> Callable[[int], bool]:
    """Whether a time lies in the feature's window that ends at `at_ms`."""
    window = feature.window
    if isinstance(window, Trailing):
        return lambda time_ms: at_ms - window.length_ms < time_ms <= at_ms
    assert isinstance(window, Calendar)
    start_ms = local_date_start_ms(zone, at_ms, window.period)
    return lambda time_ms: start_ms <= time_ms <= at_ms


def _combine(feature: Feature, counted: Sequence[Seen]) -> int | None:
    amounts = [s.amount_minor for s in counted]
    match feature.aggregate:
        case Aggregate.COUNT:
            return len(counted)
        case Aggregate.SUM:
            return sum(amounts)
        case Aggregate.AVG:
            if not amounts:
                return None
            mean = Decimal(sum(amounts)) / Decimal(len(amounts))
            return int(mean.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
        case Aggregate.MIN:
            return min(amounts, default=None)
        case Aggregate.MAX:
            return max(amounts, default=None)
        case Aggregate.DISTINCT:
            values = {getattr(s.purchase, str(feature.field)) for s in counted}
            return len(values - {None})
        case _:
            raise AssertionError(feature)


def _counted(feature: Feature, seen: Sequence[Seen]) -> list[Seen]:
    if feature.outcome is None:
        return list(seen)
    return [s for s in seen if s.outcome == feature.outcome.value]


def value_of(
    feature: Feature,
    history: EntityHistory,
    purchase: Purchase,
    amount_minor: int,
    zone: ZoneInfo,
    horizon_ms: int,
) -> int | None:
    """What the feature is for this purchase, which the history may hold already."""
    now = Seen(purchase, amount_minor)
    known = history.has(purchase.transaction_id)
    others = [s for s in history.seen if s.purchase.transaction_id != purchase.transaction_id]
    t = purchase.event_time
    if feature.aggregate is Aggregate.SINCE:
        earlier = [s.time_ms for s in _counted(feature, others) if 0 <= t - s.time_ms <= horizon_ms]
        return t - max(earlier) if earlier else None
    if feature.aggregate is Aggregate.AGE:
        return max(0, t - min([s.time_ms for s in _counted(feature, history.seen)], default=t))
    inside = in_window(feature, zone, t)
    if feature.outcome is Outcome.FRAUD:
        told = [s for s in history.fraud if s.purchase.transaction_id != purchase.transaction_id]
        return _combine(feature, [s for s in told if inside(s.time_ms)])
    counted = [s for s in _counted(feature, history.seen if known else others) if inside(s.time_ms)]
    if not known and feature.outcome is not Outcome.DECLINED:
        counted.append(now)
    return _combine(feature, counted)


def clears_at(
    feature: Feature,
    clearing: Clearing,
    history: EntityHistory,
    purchase: Purchase,
    amount_minor: int,
    zone: ZoneInfo,
    *,
    halving: bool = False,
) -> int | None:
    """The first moment, among all at which anything can change, at which a retry does not match any more.

    With `halving` not every moment is tried: as purchases only leave the window, what matches no more never
    matches again.
    """
    now = Seen(purchase, amount_minor)
    fraud = feature.outcome is Outcome.FRAUD
    counted = list(history.fraud) if fraud else _counted(feature, history.seen)
    start_ms = max([purchase.event_time, *(s.time_ms for s in counted)])
    if feature.outcome is not Outcome.APPROVED and not fraud and not history.has(purchase.transaction_id):
        counted.append(now)
    window = feature.window
    candidates = {start_ms}
    if isinstance(window, Trailing):
        candidates |= {s.time_ms + window.length_ms for s in counted}
    elif isinstance(window, Calendar):
        candidates.add(_next_start_ms(zone, start_ms, window.period))
    moments = sorted(moment for moment in candidates if moment >= start_ms)

    def cleared(moment: int) -> bool:
        inside = in_window(feature, zone, moment)
        retried = [s for s in counted if inside(s.time_ms)]
        if feature.outcome is not Outcome.DECLINED and not fraud:
            retried.append(now)
        value = _combine(feature, retried)
        assert value is not None
        return value <= clearing.threshold if clearing.op == ">" else value < clearing.threshold

    if halving:
        first = bisect_left(moments, True, key=cleared)
        return moments[first] if first < len(moments) else None
    return next((moment for moment in moments if cleared(moment)), None)


def _next_start_ms(zone: ZoneInfo, at_ms: int, period: Period) -> int:
    minute = at_ms // 60_000
    here = _period_of(zone, at_ms, period)
    step = 65_536
    while step >= 1:
        while _period_of(zone, (minute + step) * 60_000, period) == here:
            minute += step
        step //= 2
    return (minute + 1) * 60_000
