"""What rules are evaluated on, and how each value of the typed tree is read from it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from models.purchase_fields import PurchaseFields
from rules.calendar import PeriodClock
from rules.language.typed import AttributeValue, Const, Constant, FieldValue, Measured, Type, Value

OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Whole numbers have 64 bits: what is larger can't be written into a decision.
_MAX_WHOLE: Final = 2**63 - 1


class Facts(NamedTuple):
    """All about one purchase. `values` and `clears` are in the order of the plan's features.

    `amount_minor` is in the ruleset's currency, like the credit; `clock` is that of its time zone.
    """

    purchase: PurchaseFields
    amount_minor: int
    values: Sequence[int | None]
    clears: Sequence[Sequence[int | None]]
    anomaly: float | None
    available_minor: int | None
    limit_minor: int | None
    clock: PeriodClock


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
            return facts.clock.hour(facts.purchase.event_time)
        case "day_of_week":
            return facts.clock.local(facts.purchase.event_time).isoweekday()
        case "instalments":
            plan = facts.purchase.instalments
            return plan.count if plan is not None else None
        case _:
            return getattr(facts.purchase, name)


def text_of(value: object) -> str | None:
    """A text; None for anything else."""
    return value if isinstance(value, str) else None


def boolean_of(value: object) -> bool | None:
    """True or false; None for anything else."""
    return value if isinstance(value, bool) else None


def number_of(value: object) -> int | float | None:
    """A finite number, whole ones within 64 bits; None for anything else."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -_MAX_WHOLE <= value <= _MAX_WHOLE else None
    return None


def attribute_of(name: str, kind: Type, facts: Facts) -> Constant | None:
    """A field of the sender's own; None where it is missing or not of the type that is asked for."""
    value = facts.purchase.attributes.get(name)
    if kind is Type.TEXT:
        return text_of(value)
    if kind is Type.BOOLEAN:
        return boolean_of(value)
    return value if kind is Type.ANY else number_of(value)


def compute(op: str, left: Any, right: Any) -> int | float | None:
    """Arithmetic with unknowns: None where a side is None, for a division by zero, and for what is no number."""
    if left is None or right is None:
        return None
    try:
        return number_of(_exactly(op, left, right))
    except (ZeroDivisionError, OverflowError):
        return None


def _exactly(op: str, left: Any, right: Any) -> Any:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left / right


def read(value: Value, facts: Facts, slots: Mapping[str, int]) -> Any:
    """A value of the typed tree; None where it is unknown. `slots` maps a feature to its place in `values`."""
    if isinstance(value, Measured):
        return facts.values[slots[value.feature.name]]
    if isinstance(value, Const):
        return value.value
    if isinstance(value, FieldValue):
        return field_of(value.name, facts)
    if isinstance(value, AttributeValue):
        return attribute_of(value.name, value.type, facts)
    return compute(value.op, read(value.left, facts, slots), read(value.right, facts, slots))
