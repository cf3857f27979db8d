"""Features: what a ruleset asks of one entity, measured for the purchase being decided."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from models.purchase import Purchase
from rules.calendar import PeriodClock
from rules.clearing import Retry, clears_at
from rules.entity import value_hash
from rules.plan import Aggregate, EntityPlan, Feature, Outcome, Trailing, Window
from rules.windows import WindowLog

# Sums beyond this read as this: the largest number that JSON readers take for an integer of 64 bits.
MAX_SUM_MINOR: Final = 2**63 - 1
# Before any event time.
_ALWAYS_MS: Final = -1


class FeatureValue(NamedTuple):
    """A feature's value, and for each of its clearings when that comparison ends to hold (None: never).

    A clearing is computed only where its comparison holds.
    """

    value: int | None
    clears: tuple[int | None, ...] = ()


class EntityLogs(NamedTuple):
    """An entity's purchases, and those among them that labels say are fraud.

    A station does not know how they were decided and keeps all of them as `approved`. `released` are those that were
    approved and are no more.
    """

    approved: WindowLog
    declined: WindowLog | None = None
    fraud: WindowLog | None = None
    released: WindowLog | None = None


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
    """A feature, its aggregate, the number of the slice that it looks at, and the lowest threshold of its clearings."""

    feature: Feature
    aggregate: Aggregate
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
            feature.aggregate,
            numbers.setdefault(Slice(feature.outcome, feature.window), len(numbers)),
            min((clearing.threshold for clearing in feature.clearings), default=None),
        )
        for feature in plan.features
    )
    return Program(tuple(numbers), probes)


# A log's rows [first, end).
Span = tuple[WindowLog, int, int]
# A slice at one purchase's moment: the rows of each log, and 1 if the subject counts beside them, else 0.
Cut = tuple[Sequence[Span], int]


def measure(plan: EntityPlan, logs: EntityLogs, subject: Subject, clock: PeriodClock) -> list[FeatureValue]:
    """The values of a plan's features, in its order, with what clears them."""
    program = program_of(plan)
    cuts = cuts_of(program, logs, subject, clock)
    values = values_of(plan, program, cuts, subject)
    return [
        FeatureValue(value, clears_of(probe, value, cuts, subject, clock))
        for probe, value in zip(program.probes, values, strict=True)
    ]


def cuts_of(program: Program, logs: EntityLogs, subject: Subject, clock: PeriodClock) -> list[Cut]:
    """Each of the program's slices, cut out of the logs."""
    approved, declined, fraud, released = logs
    time_ms, own = subject.purchase.event_time, 0 if subject.known else 1
    end = _end(approved, time_ms)
    declined_end = _end(declined, time_ms) if declined is not None else 0
    released_end = _end(released, time_ms) if released is not None else 0
    cuts: list[Cut] = []
    for outcome, window in program.slices:
        if window is None:
            after_ms = _ALWAYS_MS
        elif isinstance(window, Trailing):
            after_ms = time_ms - window.length_ms
        else:
            after_ms = clock.bounds_ms(window.period, time_ms)[0] - 1
        if outcome is None or outcome is _APPROVED:
            spans: tuple[Span, ...] = ((approved, _first(approved, after_ms, end), end),)
            if outcome is None and declined is not None and declined.times:
                spans = (*spans, (declined, _first(declined, after_ms, declined_end), declined_end))
            if outcome is None and released is not None and released.times:
                spans = (*spans, (released, _first(released, after_ms, released_end), released_end))
            cuts.append((spans, own))
        elif outcome is _DECLINED:
            counted = () if declined is None else ((declined, _first(declined, after_ms, declined_end), declined_end),)
            cuts.append((counted, 0))
        else:
            cuts.append((() if fraud is None else _fraud_spans(fraud, subject, after_ms), 0))
    return cuts


_APPROVED: Final = Outcome.APPROVED
_DECLINED: Final = Outcome.DECLINED


def _fraud_spans(log: WindowLog, subject: Subject, after_ms: int) -> tuple[Span, ...]:
    """The fraud of a window without the subject itself, whose label may have come before it."""
    end = _end(log, subject.purchase.event_time)
    first = _first(log, after_ms, end)
    own = log.index_of(subject.transaction)
    # A merged row stands for others too.
    if first <= own < end and log.count(own, own + 1) == 1:
        return (log, first, own), (log, own + 1, end)
    return ((log, first, end),)


def _end(log: WindowLog, time_ms: int) -> int:
    times = log.times
    return len(times) if not times or times[-1] <= time_ms else bisect_right(times, time_ms)


def _first(log: WindowLog, after_ms: int, end: int) -> int:
    times = log.times
    return bisect_right(times, after_ms, 0, end) if end and times[0] <= after_ms else 0


def values_of(plan: EntityPlan, program: Program, cuts: Sequence[Cut], subject: Subject) -> list[int | None]:
    """The values of a plan's features, in its order."""
    values: list[int | None] = []
    for feature, aggregate, number, _ in program.probes:
        spans, own = cuts[number]
        if aggregate is _COUNT:
            value = own
            for log, first, end in spans:
                value += log.count(first, end)
        elif aggregate is _SUM:
            value = subject.amount_minor if own else 0
            for log, first, end in spans:
                value += log.sums[end] - log.sums[first]
            if value > MAX_SUM_MINOR:
                value = MAX_SUM_MINOR
        else:
            value = _other(feature, cuts[number], subject, plan.horizon_ms)
        values.append(value)
    return values


_COUNT: Final = Aggregate.COUNT
_SUM: Final = Aggregate.SUM


def _other(feature: Feature, cut: Cut, subject: Subject, horizon_ms: int) -> int | None:
    aggregate = feature.aggregate
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
        count = sum([log.count(first, end) for log, first, end in spans]) + own
        total = sum([log.sums[end] - log.sums[first] for log, first, end in spans])
        total += subject.amount_minor if own else 0
        return _half_even(total, count) if count else None
    amounts = [subject.amount_minor] if own else []
    for log, first, end in spans:
        amounts += log.lows(first, end) if aggregate is Aggregate.MIN else log.highs(first, end)
    return (min if aggregate is Aggregate.MIN else max)(amounts, default=None)


def _half_even(total: int, count: int) -> int:
    """total / count, rounded half to even."""
    quotient, rest = divmod(total, count)
    return quotient + (2 * rest > count or (2 * rest == count and quotient % 2 == 1))


def _distinct(feature: Feature, cut: Cut, subject: Subject) -> int:
    field = feature.field
    assert field is not None, "distinct counts a field"
    spans, own = cut
    values: set[int] = {value_hash(subject.purchase, field)} if own else set()
    for log, first, end in spans:
        column = log.columns.get(field)
        if column is not None and first < end:
            values.update(column[first:end])
    values.discard(0)
    return len(values)


def clears_of(
    probe: Probe, value: int | None, cuts: Sequence[Cut], subject: Subject, clock: PeriodClock
) -> tuple[int | None, ...]:
    """For each of a feature's clearings, when the comparison ends to hold; None where it does not hold."""
    feature, lowest = probe.feature, probe.lowest
    if value is None:
        return ()
    if lowest is None or value < lowest:
        return (None,) * len(feature.clearings)
    # Two spans may be of one log.
    retry, logs = retry_of(feature, subject), list(dict.fromkeys(log for log, _, _ in cuts[probe.slice_number][0]))
    return tuple(
        clears_at(feature, clearing, logs, retry, clock)
        if value > clearing.threshold or (value == clearing.threshold and clearing.op == ">=")
        else None
        for clearing in feature.clearings
    )


def retry_of(feature: Feature, subject: Subject) -> Retry:
    """How the subject and a retry of it count towards a feature.

    Only what is approved stays as approved, and nothing is known to be fraud when it is decided.
    """
    outcome = feature.outcome
    return Retry(
        subject.purchase.event_time,
        subject.amount_minor,
        value_hash(subject.purchase, feature.field or "") if feature.aggregate is Aggregate.DISTINCT else 0,
        stays=(outcome is None or outcome is Outcome.DECLINED) and not subject.known,
        counts_itself=outcome is None or outcome is Outcome.APPROVED,
    )


def _since(cut: Cut, subject: Subject, horizon_ms: int) -> int | None:
    """Milliseconds since the last other purchase not later than this one, if the horizon reaches it."""
    time_ms, last_ms = subject.purchase.event_time, None
    for log, _, end in cut[0]:
        index = end - 1
        if subject.known and index >= 0 and log.transaction(index) == subject.transaction:
            index -= 1
        if index >= 0 and (last_ms is None or log.times[index] > last_ms):
            last_ms = log.times[index]
    return time_ms - last_ms if last_ms is not None and time_ms - last_ms <= horizon_ms else None


def _age(cut: Cut, time_ms: int) -> int:
    starts = [log.first_seen_ms for log, _, _ in cut[0] if log.first_seen_ms is not None and len(log)]
    return max(0, time_ms - min(starts, default=time_ms))
