"""Features: what a ruleset asks of one entity, measured for the purchase being decided."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from models.purchase_fields import PurchaseFields
from rules.feature_code import Values, compile_features
from rules.plan import EntityPlan
from rules.windows import WindowLog


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

    purchase: PurchaseFields
    amount_minor: int
    transaction: bytes
    known: bool = False


@lru_cache(maxsize=4096)
def values_of(plan: EntityPlan) -> Values:
    """The function that measures a plan's features, in its order: it is given logs, subject and clock."""
    return compile_features(plan)
