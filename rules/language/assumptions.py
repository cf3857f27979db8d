"""What is assumed of values while a condition is searched: known or missing, within bounds, in an order."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from rules.language.domains import Domains, never_missing
from rules.language.facts import compute
from rules.language.possible import Possible
from rules.language.typed import (
    FIELDS,
    MIRRORED,
    OPPOSITE,
    AttributeValue,
    Compare,
    Computed,
    Const,
    Constant,
    FieldValue,
    IsIn,
    IsMissing,
    IsTrue,
    Measured,
    Type,
    Value,
)
from rules.plan import Aggregate, Trailing

# The orders of two values under which a comparison holds: less, equal, greater.
_ORDERS: Final = {
    "==": frozenset({0}),
    "!=": frozenset({-1, 1}),
    "<": frozenset({-1}),
    "<=": frozenset({-1, 0}),
    ">": frozenset({1}),
    ">=": frozenset({0, 1}),
}
# What a longer window has as much of as a shorter one, or more.
_GROWS: Final = frozenset({Aggregate.COUNT, Aggregate.SUM, Aggregate.MAX, Aggregate.DISTINCT})

Leaf = Compare | IsIn | IsMissing | IsTrue


class Assumptions:
    """A set of assumptions that do not contradict each other, as far as is seen."""

    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._possible: dict[Hashable, Possible] = {}
        self._orders: dict[tuple[Hashable, Hashable], frozenset[int]] = {}
        self._known: set[Hashable] = set()
        self._missing: set[Hashable] = set()
        self._types: dict[str, Type] = {}

    def copy(self) -> Assumptions:
        """The same assumptions, to add others to."""
        copied = Assumptions(self._domains)
        copied._possible = dict(self._possible)
        copied._orders = dict(self._orders)
        copied._known = set(self._known)
        copied._missing = set(self._missing)
        copied._types = dict(self._types)
        return copied

    def take(self, leaf: Leaf, *, holds: bool) -> bool:
        """Assume that a leaf is true, or that it is false; False where that can't be."""
        if isinstance(leaf, Compare):
            return self._compare(leaf.left, leaf.op if holds else OPPOSITE[leaf.op], leaf.right)
        value = folded(leaf.item if isinstance(leaf, IsIn) else leaf.value)
        if isinstance(leaf, IsMissing):
            return self._is_missing(value) if holds else value is not None and self.know(value)
        if value is None or not self.know(value):
            return False
        if isinstance(leaf, IsTrue):
            return self._narrow(value, self._of(value).within([holds]))
        if holds is leaf.negated:
            return self._narrow(value, self._of(value).outside(leaf.members))
        members = [member for member in leaf.members if self._admits(value, member)]
        return self._narrow(value, self._of(value).within(members))

    def _compare(self, left_value: Value, op: str, right_value: Value) -> bool:
        left, right = folded(left_value), folded(right_value)
        if left is None or right is None or not (self.know(left) and self.know(right)):
            return False
        if isinstance(left, Const):
            left, op, right = right, MIRRORED[op], left
        if not isinstance(right, Const):
            return self._order(left, op, right)
        if op == "==" and not self._admits(left, right.value):
            return False
        return self._narrow(left, self._of(left).narrowed(op, right.value))

    def _admits(self, value: Value, constant: Constant) -> bool:
        return not isinstance(constant, str) or self._domains.admits(value, constant)

    def _of(self, value: Value) -> Possible:
        if isinstance(value, Const):
            return Possible(among=frozenset({value.value}))
        return self._possible.get(key_of(value)) or self._domains.of(value)

    def _narrow(self, value: Value, narrowed: Possible) -> bool:
        self._possible[key_of(value)] = narrowed
        return not narrowed.is_empty()

    def _order(self, left: Value, op: str, right: Value) -> bool:
        one, other = key_of(left), key_of(right)
        if one == other:
            return 0 in _ORDERS[op]
        if repr(one) > repr(other):
            left, right, one, other, op = right, left, other, one, MIRRORED[op]
        orders = self._orders.get((one, other), _orders_of(left, right)) & _ORDERS[op]
        self._orders[one, other] = orders
        return bool(orders)

    def know(self, value: Value) -> bool:
        """Assume that a value is known, with all that it comes from; False where that can't be."""
        if isinstance(value, Const):
            return True
        if isinstance(value, AttributeValue):
            return self._attributeknow(value)
        if key_of(value) in self._missing:
            return False
        self._known.add(key_of(value))
        if isinstance(value, Computed):
            return self.know(value.left) and self.know(value.right)
        if isinstance(value, Measured):
            return all(self.know(FieldValue(field, FIELDS[field])) for field in value.feature.entity)
        return True

    def _attributeknow(self, value: AttributeValue) -> bool:
        """One attribute has one type: as another it is unknown."""
        if key_of(AttributeValue(value.name, Type.ANY)) in self._missing:
            return False
        self._known.add(key_of(AttributeValue(value.name, Type.ANY)))
        return value.type is Type.ANY or self._types.setdefault(value.name, value.type) is value.type

    def _is_missing(self, value: Value | None) -> bool:
        if value is None:
            return True
        if never_missing(value) or key_of(value) in self._known:
            return False
        self._missing.add(key_of(value))
        return True


def key_of(value: Value) -> Hashable:
    """What two values have in common that are the same, however they are written."""
    if isinstance(value, Computed):
        return (value.op, key_of(value.left), key_of(value.right))
    if isinstance(value, Const):
        return (value.type, value.value)
    return (value.text, value.type) if isinstance(value, AttributeValue) else value.text


def folded(value: Value) -> Value | None:
    """A value with its constants worked out; None where it is unknown whatever comes."""
    if not isinstance(value, Computed):
        return value
    left, right = folded(value.left), folded(value.right)
    if left is None or right is None or (value.op == "/" and isinstance(right, Const) and not right.value):
        return None
    if isinstance(left, Const) and isinstance(right, Const):
        result = compute(value.op, left.value, right.value)
        return None if result is None else Const(result, value.type, value.text)
    return Computed(value.op, left, right, value.type, value.text)


def _orders_of(left: Value, right: Value) -> frozenset[int]:
    """The orders that two values can be in."""
    if isinstance(left, Measured) and isinstance(right, Measured):
        one, other = left.feature, right.feature
        same = (one.aggregate, one.entity, one.field, one.outcome) == (
            other.aggregate,
            other.entity,
            other.field,
            other.outcome,
        )
        if same and isinstance(one.window, Trailing) and isinstance(other.window, Trailing):
            longer = one.window.length_ms > other.window.length_ms
            if one.aggregate in _GROWS:
                return _ORDERS[">=" if longer else "<="]
            if one.aggregate is Aggregate.MIN:
                return _ORDERS["<=" if longer else ">="]
    return frozenset({-1, 0, 1})
