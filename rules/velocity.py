"""Features: what a ruleset asks of one entity, measured for the purchase being decided."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from models.purchase_fields import PurchaseFields
from rules.calendar import PeriodClock
from rules.clearing import Retry, clears_at
from rules.entity import value_hash
from rules.feature_code import Values, compile_features
from rules.plan import Aggregate, Clearing, EntityPlan, Feature, Outcome
from rules.quick_tuple import quick
from rules.windows import WindowLog


class EntityLogs(Protocol):
    """An entity's purchases, and those among them that labels say are fraud.

    A station does not know how they were decided and keeps all of them as `approved`. `released` are those that were
    approved and are no more.
    """

    @property
    def approved(self) -> WindowLog: ...  # noqa: D102  # named above
    @property
    def declined(self) -> WindowLog | None: ...  # noqa: D102
    @property
    def fraud(self) -> WindowLog | None: ...  # noqa: D102
    @property
    def released(self) -> WindowLog | None: ...  # noqa: D102


class Subject(NamedTuple):
    """The purchase being decided; `known` if the logs hold it already, so that it is not counted again."""

    purchase: PurchaseFields
    amount_minor: int
    transaction: bytes
    known: bool = False


subject_of: Final = quick(Subject)


# When each of a feature's comparisons ends to hold, in the order of its clearings (None: never, or it does not hold);
# empty where none of them holds.
Clears = Sequence[int | None]

_NO_CLEARING: Final = float("inf")


@lru_cache(maxsize=4096)
def values_of(plan: EntityPlan) -> Values:
    """The function that measures a plan's features, in its order: it is given logs, subject and clock."""
    return compile_features(plan)


@lru_cache(maxsize=4096)
def _lowest_thresholds(plan: EntityPlan) -> tuple[float, ...]:
    """For each of a plan's features, the value below which none of its comparisons holds."""
    return tuple(
        min((clearing.threshold for clearing in feature.clearings), default=_NO_CLEARING) for feature in plan.features
    )


def clears_of_all(
    plan: EntityPlan, values: Sequence[int | None], logs: EntityLogs, subject: Subject, clock: PeriodClock
) -> list[Clears]:
    """What clears each of a plan's features, whose values these are."""
    lowest = _lowest_thresholds(plan)
    return [
        () if value is None or value < lowest[slot] else clears_of(plan.features[slot], value, logs, subject, clock)
        for slot, value in enumerate(values)
    ]


def clears_of(feature: Feature, value: int | None, logs: EntityLogs, subject: Subject, clock: PeriodClock) -> Clears:
    """When each comparison of a feature ends to hold."""
    if value is None or not any(_holds(value, clearing) for clearing in feature.clearings):
        return ()
    retry, counted = retry_of(feature, subject), _logs_of(feature, logs)
    return tuple(
        clears_at(feature, clearing, counted, retry, clock) if _holds(value, clearing) else None
        for clearing in feature.clearings
    )


def _holds(value: int, clearing: Clearing) -> bool:
    return value > clearing.threshold or (value == clearing.threshold and clearing.op == ">=")


def _logs_of(feature: Feature, logs: EntityLogs) -> list[WindowLog]:
    """The logs that a feature is counted over."""
    by_outcome = {
        None: (logs.approved, logs.declined, logs.released),
        Outcome.APPROVED: (logs.approved,),
        Outcome.DECLINED: (logs.declined,),
        Outcome.FRAUD: (logs.fraud,),
    }
    return [log for log in by_outcome[feature.outcome] if log is not None and len(log)]


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
