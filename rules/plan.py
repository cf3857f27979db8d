"""What a ruleset asks of the state: its features, by entity, and how far back they look.

The compiler makes a plan from the rules; the router, the stations and the desk work from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Final

# The fields of a purchase that it may be counted by, in canonical order.
ENTITY_FIELDS: Final = (
    "account_id",
    "card_id",
    "device_id",
    "ip",
    "merchant_id",
    "mcc",
    "country",
    "channel",
)
# Entities with one of these fields live with the account: a card belongs to one account.
ACCOUNT_FIELDS: Final = frozenset({"account_id", "card_id"})


def scope_of(entity: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that an entity is told apart by: a card is its account's, also where only the card is named."""
    if "card_id" in entity and "account_id" not in entity:
        return ("account_id", *entity)
    return entity


class Aggregate(StrEnum):
    """What is computed over the purchases of an entity.

    `since` is the milliseconds since the entity's last earlier purchase (None on the first), `age` those
    since its first (0 on the first); the others look at a window. Money is in minor units of the ruleset's
    currency; `avg` rounds half to even.
    """

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    SINCE = "since"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class Trailing:
    """The window (t - length, t], where t is the event time of the purchase being decided."""

    length_ms: int


class Period(StrEnum):
    """A calendar window in the ruleset's time zone, from its start to the purchase; weeks begin on Monday."""

    TODAY = "today"
    THIS_WEEK = "this_week"
    THIS_MONTH = "this_month"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The part of a calendar period up to the purchase being decided."""

    period: Period


Window = Trailing | Calendar


class Outcome(StrEnum):
    """What became of earlier purchases.

    Approved and declined say how they were decided: a flag counts as approved, a block as declined. Fraud are
    those that a label, known by now, says to be fraud or a chargeback, however they were decided.
    """

    APPROVED = "approved"
    DECLINED = "declined"
    FRAUD = "fraud"


@dataclass(frozen=True, slots=True)
class Clearing:
    """A comparison of a feature with a constant, for which the time is wanted at which it ends to hold."""

    op: str
    threshold: int


@dataclass(frozen=True, slots=True)
class Feature:
    """One value asked of one entity; `name` is its canonical text, unique in a ruleset.

    With `outcome` approved the purchase being decided counts as if approved; with declined and fraud it does
    not count. `field` is `amount` for sums and the like, the field counted for `distinct`, else None.
    """

    name: str
    aggregate: Aggregate
    entity: tuple[str, ...]
    window: Window | None
    field: str | None = None
    outcome: Outcome | None = None
    clearings: tuple[Clearing, ...] = ()


@dataclass(frozen=True, eq=False)
class EntityPlan:
    """All that is asked of one entity. `horizon_ms` is the longest look back of its windows.

    Plans are compared by identity, so that what is made ready for one is found fast.
    """

    entity: tuple[str, ...]
    features: tuple[Feature, ...]
    distinct_fields: tuple[str, ...]
    horizon_ms: int

    @cached_property
    def name(self) -> str:
        """The entity's fields, comma-separated: what keys of its entities begin with."""
        return ",".join(self.entity)

    @cached_property
    def is_account(self) -> bool:
        """Whether the entity is an account alone."""
        return self.entity == ("account_id",)

    @property
    def asks_fraud(self) -> bool:
        """Whether a feature counts what labels say is fraud."""
        return any(feature.outcome is Outcome.FRAUD for feature in self.features)


@dataclass(frozen=True)
class RulesetPlan:
    """What one ruleset needs: entities kept with the account, entities kept at stations, money and time."""

    desk: tuple[EntityPlan, ...]
    stations: tuple[EntityPlan, ...]
    time_zone: str
    currency: str
    rates: Mapping[str, Decimal]
    allowed_lateness_ms: int
    max_rows: int
    uses_anomaly: bool
    uses_credit: bool
    # How long after its purchase a reservation that nobody captures is let go; None: it is kept.
    expire_after_ms: int | None = None

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """All features, desk entities first: the order of the values that rules are evaluated on."""
        return tuple(feature for plan in (*self.desk, *self.stations) for feature in plan.features)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of all features, in the same order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def fraud_desk(self) -> tuple[EntityPlan, ...]:
        """The entities kept with the account that labels are entered for."""
        return tuple(plan for plan in self.desk if plan.asks_fraud)

    @cached_property
    def fraud_stations(self) -> tuple[EntityPlan, ...]:
        """The entities kept at stations that labels are entered for."""
        return tuple(plan for plan in self.stations if plan.asks_fraud)

    @cached_property
    def stations_by_name(self) -> dict[str, EntityPlan]:
        """The entities kept at stations, by their names: see `EntityPlan.name`."""
        return {plan.name: plan for plan in self.stations}

    @cached_property
    def stamp_sizes(self) -> dict[str, int]:
        """How many values the stamp of each station holds, by its entity's name."""
        return {plan.name: len(plan.features) for plan in self.stations}
