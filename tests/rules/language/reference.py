"""What rules mean, told a second time: a plain walk over the syntax tree, slow and obvious.

It shares the parser with the compiler and nothing else: neither types nor a compiled function.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from models.purchase import Purchase
from rules.language import syntax
from rules.language.syntax import Expression
from rules.plan import Aggregate, Calendar, Feature, Trailing

FeatureKey = tuple[str, str | None, frozenset[str], int | str | None, str | None]
# A kind and a value, None where it is unknown; money is in minor units.
Known = tuple[str, Any]

FIELD_KINDS = {
    "amount": "money",
    "available_credit": "money",
    "credit_limit": "money",
    "hour": "number",
    "day_of_week": "number",
    "instalments": "number",
    "anomaly": "number",
}
CALCULATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one / other,
}
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class World:
    """Everything that is known when a purchase is judged."""

    purchase: Purchase
    amount: int
    features: Mapping[FeatureKey, int | None]
    anomaly: float | None
    available: int | None
    limit: int | None
    zone: str
    decimals: int
    lists: Mapping[str, list[str | int]]


def feature_key(feature: Feature) -> FeatureKey:
    """What a feature is, whatever its name."""
    window = feature.window
    length: int | str | None = None
    if isinstance(window, Trailing):
        length = window.length_ms
    elif isinstance(window, Calendar):
        length = window.period.value
    outcome = feature.outcome.value if feature.outcome else None
    return (feature.aggregate.value, feature.field, frozenset(feature.entity), length, outcome)


def truth(node: Expression, world: World) -> bool | None:
    """True, False, or None for unknown: Kleene's strong three-valued logic."""
    if isinstance(node, syntax.Logic):
        parts = [truth(operand, world) for operand in node.operands]
        if node.op == "and":
            return False if False in parts else None if None in parts else True
        return True if True in parts else None if None in parts else False
    if isinstance(node, syntax.Not):
        inner = truth(node.operand, world)
        return None if inner is None else not inner
    if isinstance(node, syntax.Comparison):
        left, right = known(node.left, world), known(node.right, world)
        left, right = alike(left, right, node.left, world), alike(right, left, node.right, world)
        if left[1] is None or right[1] is None:
            return None
        return COMPARISONS[node.op](left[1], right[1])
    if isinstance(node, syntax.Membership):
        return membership(node, world)
    if isinstance(node, syntax.Call) and node.name == "is_missing":
        return known(node.arguments[0], world)[1] is None
    value = known(node, world)[1]
    return value if isinstance(value, bool) else None


def membership(node: syntax.Membership, world: World) -> bool | None:
    """Whether something is one of a list; a list's numbers are amounts where amounts are compared."""
    kind, item = known(node.item, world)
    members: list[Any] = []
    if isinstance(node.members, syntax.ListName):
        members = list(world.lists[node.members.name])
        if kind == "money":
            members = [member * 10**world.decimals for member in members]
        if kind == "text":
            members = [str(member) for member in members]
    else:
        for literal in node.members.items:
            member = known(literal, world)
            members.append(alike(member, (kind, item), literal, world)[1])
    if kind == "attribute" and members:
        item = as_kind(item, "text" if isinstance(members[0], str) else "number")
    if item is None:
        return None
    found = any(item == member for member in members)
    return found is not node.negated


def known(node: Expression, world: World) -> Known:
    """The value of an expression."""
    if isinstance(node, syntax.Number):
        whole = node.value == int(node.value)
        return ("number", int(node.value) if whole else float(node.value))
    if isinstance(node, syntax.Duration):
        return ("duration", node.length_ms)
    if isinstance(node, syntax.Text):
        return ("text", node.value)
    if isinstance(node, syntax.Boolean):
        return ("boolean", node.value)
    if isinstance(node, syntax.Name):
        return field(node.name, world)
    if isinstance(node, syntax.Attribute):
        return ("attribute", world.purchase.attributes.get(node.name))
    if isinstance(node, syntax.Call):
        return aggregate(node, world)
    assert isinstance(node, syntax.Arithmetic)
    return arithmetic(node, world)


def field(name: str, world: World) -> Known:
    """A field of the purchase or its account."""
    local = datetime.fromtimestamp(world.purchase.event_time // 1000, ZoneInfo(world.zone))
    special: dict[str, Any] = {
        "amount": world.amount,
        "available_credit": world.available,
        "credit_limit": world.limit,
        "anomaly": world.anomaly,
        "hour": local.hour,
        "day_of_week": local.weekday() + 1,
        "instalments": world.purchase.instalments.count if world.purchase.instalments else None,
    }
    value = special[name] if name in special else getattr(world.purchase, name)
    return (FIELD_KINDS.get(name, "text"), value)


def aggregate(node: syntax.Call, world: World) -> Known:
    """A feature, found by what the call's arguments say."""
    arguments = list(node.arguments)
    counted = None
    if node.name in ("sum", "avg", "min", "max", "distinct"):
        counted = name_of(arguments.pop(0))
    entity = arguments.pop(0)
    fields = [name_of(item) for item in entity.items] if isinstance(entity, syntax.Tuple) else [name_of(entity)]
    window: int | str | None = None
    if node.name not in (Aggregate.SINCE, Aggregate.AGE):
        first = arguments.pop(0)
        window = first.length_ms if isinstance(first, syntax.Duration) else name_of(first)
    outcome = name_of(arguments.pop(0)) if arguments else None
    kind = {"count": "number", "distinct": "number", "since": "duration", "age": "duration"}.get(node.name, "money")
    return (kind, world.features[node.name, counted, frozenset(fields), window, outcome])


def name_of(node: Expression) -> str:
    """The name that an argument is."""
    assert isinstance(node, syntax.Name)
    return node.name


def alike(value: Known, other: Known, node: Expression, world: World) -> Known:
    """A side of a comparison or a sum as the kind of the other: plain numbers are amounts beside amounts."""
    if isinstance(node, syntax.Number) and other[0] == "money":
        return ("money", int(node.value * Decimal(10) ** world.decimals))
    if value[0] == "attribute" and other[0] != "attribute":
        return (other[0], as_kind(value[1], other[0]))
    return value


def as_kind(value: Any, kind: str) -> Any:
    """An attribute as what it is compared with; unknown where it is something else."""
    if kind == "text":
        return value if isinstance(value, str) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    return as_number(value)


def as_number(value: Any) -> int | float | None:
    """A number that has a place in 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    return None if math.isnan(value) or math.isinf(value) else value


def arithmetic(node: syntax.Arithmetic, world: World) -> Known:
    """A sum, difference, product or quotient; unknown where it is none."""
    left, right = known(node.left, world), known(node.right, world)
    if node.op in "+-":
        left, right = alike(left, right, node.left, world), alike(right, left, node.right, world)
    kind = {"attribute": "number"}.get(left[0], left[0])
    if node.op == "*" and kind == "number":
        kind = {"attribute": "number"}.get(right[0], right[0])
    if node.op == "/" and left[0] == right[0]:
        kind = "number"
    one, other = as_kind(left[1], "number"), as_kind(right[1], "number")
    # A feature may outgrow 64 bits; only what is computed of it is bounded.
    one = left[1] if left[0] != "attribute" else one
    other = right[1] if right[0] != "attribute" else other
    if one is None or other is None or (node.op == "/" and other == 0):
        return (kind, None)
    try:
        result = CALCULATIONS[node.op](one, other)
    except OverflowError:
        return (kind, None)
    return (kind, as_number(result))


@dataclass(frozen=True)
class RuleText:
    """A rule, as it was written."""

    id: str
    when: Expression
    then: str
    final: bool
    shadow: bool


def judge(rules: list[RuleText], world: World) -> tuple[str, bool, list[str], list[str]]:
    """The action, whether a final block gave it, and the ids of the rules that matched: live ones, shadow ones."""
    matched = [rule for rule in rules if truth(rule.when, world) is True]
    live = [rule for rule in matched if not rule.shadow]
    ids, shadow = [rule.id for rule in live], [rule.id for rule in matched if rule.shadow]
    if any(rule.final for rule in live):
        return ("block", True, ids, shadow)
    for then, action in (("allow", "approve"), ("block", "block"), ("flag", "flag")):
        if any(rule.then == then for rule in live):
            return (action, False, ids, shadow)
    return ("approve", False, ids, shadow)
