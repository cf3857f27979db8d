"""Features: what a ruleset asks of one entity, measured for the purchase being decided."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from models.purchase import Purchase
from rules.calendar import PeriodClock
from rules.clearing import Retry, clears_at
from rules.entity import value_hash
from rules.plan import Aggregate, EntityPlan, Feature, Outcome, Trailing, Window
from rules.windows import WindowLog

# Before any event time.
_ALWAYS_MS: Final = -1


class FeatureValue(NamedTuple):
    """A feature's value, and for each of its clearings when that comparison ends to hold (None: never).

    A clearing is computed only where its comparison holds.
    """

    value: int | None
    clears: tuple[int | None, ...] = ()


class EntityLogs(NamedTuple):
    """An entity's purchases. A station does not know outcomes and keeps all of them as `approved`."""

    approved: WindowLog
    declined: WindowLog | None = None


class Subject(NamedTuple):
    """The purchase being decided; `known` if the logs hold it already, so that it is not counted again."""

    purchase: Purchase
    amount_minor: int
    transaction: bytes
    known: bool = False


class Slice(NamedTuple):
    """The part of an entity's purchases that features look at: by outcome, in one window (None: all of them)."""

    outcome: Outcome | None
    window: Window | None


class Probe(NamedTuple):
    """A feature, the number of the slice that it looks at, and the lowest threshold of its clearings."""

    feature: Feature
    slice_number: int
    lowest: int | None


class Program(NamedTuple):
    """A plan, made ready: each slice is cut once, however many features look at it."""

    slices: tuple[Slice, ...]
    probes: tuple[Probe, ...]


@lru_cache(maxsize=4096)
def program_of(plan: EntityPlan) -> Program:
    """The program of a plan."""
    numbers: dict[Slice, int] = {}
    probes = tuple(
        Probe(
            feature,
            numbers.setdefault(Slice(feature.outcome, feature.window), len(numbers)),
            min((clearing.threshold for clearing in feature.clearings), default=None),
        )
        for feature in plan.features
    )
    return Program(tuple(numbers), probes)


class Cut(NamedTuple):
    """A slice of one purchase's moment: rows [first, end) of each log, and whether the subject counts beside them."""

    spans: Sequence[tuple[WindowLog, int, int]]
    counts_subject: bool


def measure(plan: EntityPlan, logs: EntityLogs, subject: Subject, clock: PeriodClock) -> list[FeatureValue]:
    """The values of a plan's features, in its order."""
    program = program_of(plan)
    cuts = [_cut(part, logs, subject, clock) for part in program.slices]
    values: list[FeatureValue] = []
    for feature, number, lowest in program.probes:
        cut = cuts[number]
        value = _value(feature, cut, subject, plan.horizon_ms)
        if lowest is not None and value is not None and value >= lowest:
            values.append(FeatureValue(value, _clears(feature, value, cut, subject, clock)))
        else:
            values.append(_bare(feature, value))
    return values


def _bare(feature: Feature, value: int | None) -> FeatureValue:
    """A value none of whose clearings holds."""
    return FeatureValue(value, (None,) * len(feature.clearings) if value is not None else ())


def _cut(part: Slice, logs: EntityLogs, subject: Subject, clock: PeriodClock) -> Cut:
    outcome, window = part
    time_ms = subject.purchase.event_time
    if window is None:
        after_ms = _ALWAYS_MS
    elif isinstance(window, Trailing):
        after_ms = time_ms - window.length_ms
    else:
        after_ms = clock.bounds_ms(window.period, time_ms)[0] - 1
    approved, declined = logs
    if outcome is Outcome.DECLINED:
        return Cut([(declined, *declined.span(after_ms, time_ms))] if declined is not None else (), False)
    spans = [(approved, *approved.span(after_ms, time_ms))]
    if outcome is None and declined is not None and declined.times:
        spans.append((declined, *declined.span(after_ms, time_ms)))
    return Cut(spans, not subject.known)


def _value(feature: Feature, cut: Cut, subject: Subject, horizon_ms: int) -> int | None:
    aggregate, (spans, own) = feature.aggregate, cut
    if aggregate is Aggregate.COUNT:
        count = 1 if own else 0
        for log, first, end in spans:
            count += log.counts[end] - log.counts[first]
        return count
    if aggregate is Aggregate.SUM:
        total = subject.amount_minor if own else 0
        for log, first, end in spans:
            total += log.sums[end] - log.sums[first]
        return total
    if aggregate is Aggregate.DISTINCT:
        return _distinct(feature, cut, subject)
    if aggregate is Aggregate.SINCE:
        return _since(cut, subject, horizon_ms)
    if aggregate is Aggregate.AGE:
        return _age(cut, subject.purchase.event_time)
    return _of_amounts(aggregate, cut, subject)


def _of_amounts(aggregate: Aggregate, cut: Cut, subject: Subject) -> int | None:
    spans, own = cut
    if aggregate is Aggregate.AVG:
        count = sum([log.counts[end] - log.counts[first] for log, first, end in spans]) + own
        total = sum([log.sums[end] - log.sums[first] for log, first, end in spans])
        total += subject.amount_minor if own else 0
        return _half_even(total, count) if count else None
    amounts = [subject.amount_minor] if own else []
    for log, first, end in spans:
        amounts += (log.lows if aggregate is Aggregate.MIN else log.highs)[first:end]
    return (min if aggregate is Aggregate.MIN else max)(amounts, default=None)


def _half_even(total: int, count: int) -> int:
    """total / count, rounded half to even."""
    quotient, rest = divmod(total, count)
    return quotient + (2 * rest > count or (2 * rest == count and quotient % 2 == 1))


def _distinct(feature: Feature, cut: Cut, subject: Subject) -> int:
    field = feature.field
    assert field is not None, "distinct counts a field"
    values: set[int] = {value_hash(subject.purchase, field)} if cut.counts_subject else set()
    for log, first, end in cut.spans:
        column = log.columns.get(field)
        if column is not None and first < end:
            values.update(column[first:end])
    values.discard(0)
    return len(values)


def _clears(feature: Feature, value: int, cut: Cut, subject: Subject, clock: PeriodClock) -> tuple[int | None, ...]:
    """For each clearing that holds, when it ends to; None for the others."""
    retry, logs = retry_of(feature, subject), [log for log, _, _ in cut.spans]
    return tuple(
        clears_at(feature, clearing, logs, retry, clock)
        if value > clearing.threshold or (value == clearing.threshold and clearing.op == ">=")
        else None
        for clearing in feature.clearings
    )


def retry_of(feature: Feature, subject: Subject) -> Retry:
    """How the subject and a retry of it count towards a feature: only what is approved stays as approved."""
    return Retry(
        subject.purchase.event_time,
        subject.amount_minor,
        value_hash(subject.purchase, feature.field or "") if feature.aggregate is Aggregate.DISTINCT else 0,
        stays=feature.outcome is not Outcome.APPROVED and not subject.known,
        counts_itself=feature.outcome is not Outcome.DECLINED,
    )


def _since(cut: Cut, subject: Subject, horizon_ms: int) -> int | None:
    """Milliseconds since the last other purchase not later than this one, if the horizon reaches it."""
    time_ms, last_ms = subject.purchase.event_time, None
    for log, _, end in cut.spans:
        index = end - 1
        if subject.known and index >= 0 and log.transaction(index) == subject.transaction:
            index -= 1
        if index >= 0 and (last_ms is None or log.times[index] > last_ms):
            last_ms = log.times[index]
    return time_ms - last_ms if last_ms is not None and time_ms - last_ms <= horizon_ms else None


def _age(cut: Cut, time_ms: int) -> int:
    starts = [log.first_seen_ms for log, _, _ in cut.spans if log.first_seen_ms is not None and len(log)]
    return max(0, time_ms - min(starts, default=time_ms))
