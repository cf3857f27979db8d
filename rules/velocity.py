"""Features: what a ruleset asks of one entity, measured for the purchase being decided."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from models.purchase_fields import PurchaseFields
from rules.feature_code import Values, compile_features
from rules.plan import EntityPlan
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


@lru_cache(maxsize=4096)
def values_of(plan: EntityPlan) -> Values:
    """The function that measures a plan's features, in its order: it is given logs, subject and clock."""
    return compile_features(plan)
