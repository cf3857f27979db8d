"""What rules are evaluated on, and how each value of the typed tree is read from it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from models.purchase import Purchase
from rules.language.typed import AttributeValue, Computed, Const, Constant, FieldValue, Type, Value

OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Facts(NamedTuple):
    """All about one purchase. `values` and `clears` are in the order of the plan's features.

    `amount_minor` is in the ruleset's currency, like the credit; `local` is the event time in its time zone.
    """

    purchase: Purchase
    amount_minor: int
    values: Sequence[int | None]
    clears: Sequence[Sequence[int | None]]
    anomaly: float | None
    available_minor: int | None
    limit_minor: int | None
    local: datetime


def field_of(name: str, facts: Facts) -> Constant | None:
    """A field of the purchase or its account; None where it is missing."""
    match name:
        case "amount":
            return facts.amount_minor
        case "anomaly":
            return facts.anomaly
        case "available_credit":
            return facts.available_minor
        case "credit_limit":
            return facts.limit_minor
        case "hour":
            return facts.local.hour
        case "day_of_week":
            return facts.local.isoweekday()
        case "instalments":
            plan = facts.purchase.instalments
            return plan.count if plan is not None else None
        case _:
            return getattr(facts.purchase, name)


def attribute_of(name: str, kind: Type, facts: Facts) -> Constant | None:
    """A field of the sender's own; None where it is missing or not of the type that is asked for."""
    value = facts.purchase.attributes.get(name)
    if kind is Type.TEXT:
        return value if isinstance(value, str) else None
    if kind is Type.BOOLEAN:
        return value if isinstance(value, bool) else None
    if kind is Type.ANY:
        return value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def compute(op: str, left: Any, right: Any) -> Any:
    """Arithmetic with unknowns: None where a side is None, and for a division by zero."""
    if left is None or right is None:
        return None
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left / right if right else None


def read(value: Value, facts: Facts, slots: Mapping[str, int]) -> Any:
    """A value of the typed tree; None where it is unknown. `slots` maps a feature to its place in `values`."""
    if isinstance(value, Const):
        return value.value
    if isinstance(value, FieldValue):
        return field_of(value.name, facts)
    if isinstance(value, AttributeValue):
        return attribute_of(value.name, value.type, facts)
    if isinstance(value, Computed):
        return compute(value.op, read(value.left, facts, slots), read(value.right, facts, slots))
    return facts.values[slots[value.feature.name]]
