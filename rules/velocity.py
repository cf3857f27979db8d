"""Features: what a ruleset asks of one entity, measured for the purchase being decided."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from models.purchase import Purchase
from rules.calendar import PeriodClock
from rules.clearing import Retry, clears_at
from rules.entity import value_hash
from rules.plan import Aggregate, EntityPlan, Feature, Outcome, Trailing
from rules.windows import WindowLog


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


class View(NamedTuple):
    """The part of the logs that a feature looks at, and whether the subject counts beside it."""

    logs: Sequence[WindowLog]
    counts_subject: bool


def measure(plan: EntityPlan, logs: EntityLogs, subject: Subject, clock: PeriodClock) -> list[FeatureValue]:
    """The values of a plan's features, in its order."""
    return [_measure(feature, plan, logs, subject, clock) for feature in plan.features]


def _measure(
    feature: Feature, plan: EntityPlan, logs: EntityLogs, subject: Subject, clock: PeriodClock
) -> FeatureValue:
    view = _view(feature, logs, subject)
    aggregate, time_ms = feature.aggregate, subject.purchase.event_time
    if aggregate is Aggregate.SINCE:
        return FeatureValue(_since(view, subject, plan.horizon_ms))
    if aggregate is Aggregate.AGE:
        return FeatureValue(_age(view, time_ms))
    window = feature.window
    assert window is not None, "only since and age have no window"
    if isinstance(window, Trailing):
        after_ms = time_ms - window.length_ms
    else:
        after_ms = clock.bounds_ms(window.period, time_ms)[0] - 1
    value = aggregate_over(feature, view, subject, after_ms, time_ms)
    if not feature.clearings or value is None:
        return FeatureValue(value)
    retry: Retry | None = None
    clears: list[int | None] = []
    for clearing in feature.clearings:
        if value > clearing.threshold or (value == clearing.threshold and clearing.op == ">="):
            retry = retry or retry_of(feature, subject)
            clears.append(clears_at(feature, clearing, view.logs, retry, clock))
        else:
            clears.append(None)
    return FeatureValue(value, tuple(clears))


def _view(feature: Feature, logs: EntityLogs, subject: Subject) -> View:
    outcome = feature.outcome
    if outcome is None:
        declined = logs.declined
        both = (logs.approved, declined) if declined is not None and len(declined) else (logs.approved,)
        return View(both, not subject.known)
    if outcome is Outcome.APPROVED:
        return View((logs.approved,), not subject.known)
    return View((logs.declined,) if logs.declined is not None else (), counts_subject=False)


def aggregate_over(feature: Feature, view: View, subject: Subject, after_ms: int, until_ms: int) -> int | None:
    """A windowed aggregate over rows with after < time <= until, and the subject where it counts."""
    aggregate, own = feature.aggregate, view.counts_subject
    if aggregate is Aggregate.DISTINCT:
        return _distinct(feature, view, subject, after_ms, until_ms)
    spans = [(log, *log.span(after_ms, until_ms)) for log in view.logs]
    if aggregate is Aggregate.COUNT:
        return sum([log.count(first, end) for log, first, end in spans]) + own
    if aggregate is Aggregate.SUM or aggregate is Aggregate.AVG:
        total = sum([log.total_minor(first, end) for log, first, end in spans])
        total += subject.amount_minor if own else 0
        if aggregate is Aggregate.SUM:
            return total
        count = sum([log.count(first, end) for log, first, end in spans]) + own
        return round(Fraction(total, count)) if count else None
    amounts = [subject.amount_minor] if own else []
    for log, first, end in spans:
        amounts += (log.lows if aggregate is Aggregate.MIN else log.highs)[first:end]
    return (min if aggregate is Aggregate.MIN else max)(amounts, default=None)


def _distinct(feature: Feature, view: View, subject: Subject, after_ms: int, until_ms: int) -> int:
    assert feature.field is not None, "distinct counts a field"
    values: set[int] = {value_hash(subject.purchase, feature.field)} if view.counts_subject else set()
    for log in view.logs:
        column = log.columns.get(feature.field)
        if column is not None:
            first, end = log.span(after_ms, until_ms)
            values.update(column[first:end])
    values.discard(0)
    return len(values)


def retry_of(feature: Feature, subject: Subject) -> Retry:
    """How the subject and a retry of it count towards a feature: only what is approved stays as approved."""
    return Retry(
        subject.purchase.event_time,
        subject.amount_minor,
        value_hash(subject.purchase, feature.field or "") if feature.aggregate is Aggregate.DISTINCT else 0,
        stays=feature.outcome is not Outcome.APPROVED and not subject.known,
        counts_itself=feature.outcome is not Outcome.DECLINED,
    )


def _since(view: View, subject: Subject, horizon_ms: int) -> int | None:
    """Milliseconds since the last other purchase not later than this one, if the horizon reaches it."""
    time_ms, last_ms = subject.purchase.event_time, None
    for log in view.logs:
        _, end = log.span(time_ms - horizon_ms - 1, time_ms)
        index = end - 1
        if subject.known and index >= 0 and log.transaction(index) == subject.transaction:
            index -= 1
        if index >= 0 and (last_ms is None or log.times[index] > last_ms):
            last_ms = log.times[index]
    return time_ms - last_ms if last_ms is not None and time_ms - last_ms <= horizon_ms else None


def _age(view: View, time_ms: int) -> int:
    starts = [log.first_seen_ms for log in view.logs if log.first_seen_ms is not None and len(log)]
    return max(0, time_ms - min(starts, default=time_ms))
