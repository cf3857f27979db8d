"""The text of the one Python function that a ruleset compiles to.

A condition becomes two Python expressions, one for "it is true" and one for "it is false": with three truth
values neither is the other's negation. `and` is true where all operands are and false where any is, `or` the
other way round, and `not` swaps the two. Constants are bound by name and never pasted into the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from models.purchase_fields import PurchaseFields
from rules.calendar import PeriodClock
from rules.language.facts import boolean_of, compute, number_of, text_of
from rules.language.typed import (
    LOCAL_TIME_FIELDS,
    NEVER_MISSING,
    OPPOSITE,
    All,
    AttributeValue,
    Compare,
    Computed,
    Condition,
    Const,
    Either,
    FieldValue,
    IsIn,
    IsMissing,
    IsTrue,
    Negated,
    Type,
    Value,
)

# Where a field is read from; purchase fields are attributes of `p`. `_local` is its time in the ruleset's time zone.
_FIELD_TEXT: Final = {
    "amount": "amount",
    "anomaly": "anomaly",
    "available_credit": "available",
    "credit_limit": "limit",
    "hour": "_local.hour",
    "day_of_week": "_local.isoweekday()",
    "instalments": "(p.instalments.count if p.instalments is not None else None)",
}
_ATTRIBUTE_READERS: Final = {Type.TEXT: "_text", Type.BOOLEAN: "_boolean", Type.ANY: ""}


_HELPERS: Final[Mapping[str, Callable[..., Any]]] = {
    "_text": text_of,
    "_boolean": boolean_of,
    "_number": number_of,
    "_compute": compute,
}


# Given a purchase, its amount in the ruleset's currency, the values of the plan's features, how unusual it is, what is
# left of the credit and the credit limit; returns a bit for each rule that matches, in file order.
Matches = Callable[
    [PurchaseFields, int, Sequence[int | None], float | None, int | None, int | None],
    int,
]


class Writer:
    """Writes the function; collects what it binds."""

    def __init__(self, slots: Mapping[str, int], clock: PeriodClock) -> None:
        self._slots = slots
        self._asks_local_time = False
        self._locals: dict[str, str] = {}
        self._names: dict[tuple[str, Any], str] = {}
        self.bound: dict[str, Any] = {**_HELPERS, "_clock": clock}

    def function(self, conditions: Sequence[Condition]) -> str:
        """Text of `matches(p, amount, values, anomaly, available, limit)`: a bit for each true condition."""
        tests = [f"    if {self.true(condition)}: hits |= {1 << number}" for number, condition in enumerate(conditions)]
        head = ["def matches(p, amount, values, anomaly, available, limit):"]
        if self._slots:
            head.append(f"    {', '.join(map(_feature, range(len(self._slots))))}, = values")
        if self._asks_local_time:
            head.append("    _local = _clock.local(p.event_time)")
        reads = [f"    {name} = {text}" for text, name in self._locals.items()]
        return "\n".join([*head, *reads, "    hits = 0", *tests, "    return hits", ""])

    def true(self, condition: Condition) -> str:
        """An expression that is True exactly where the condition is true."""
        if isinstance(condition, All):
            return self._join(" and ", [self.true(operand) for operand in condition.operands])
        if isinstance(condition, Either):
            return self._join(" or ", [self.true(operand) for operand in condition.operands])
        if isinstance(condition, Negated):
            return self.false(condition.operand)
        return self._leaf(condition, holds=True)

    def false(self, condition: Condition) -> str:
        """An expression that is True exactly where the condition is false."""
        if isinstance(condition, All):
            return self._join(" or ", [self.false(operand) for operand in condition.operands])
        if isinstance(condition, Either):
            return self._join(" and ", [self.false(operand) for operand in condition.operands])
        if isinstance(condition, Negated):
            return self.true(condition.operand)
        return self._leaf(condition, holds=False)

    def _leaf(self, condition: Compare | IsIn | IsMissing | IsTrue, *, holds: bool) -> str:
        if isinstance(condition, Compare):
            op = condition.op if holds else OPPOSITE[condition.op]
            left, right = self._value(condition.left), self._value(condition.right)
            known = [*self._known(condition.left, left), *self._known(condition.right, right)]
            return self._join(" and ", [*known, f"{left} {op} {right}"])
        if isinstance(condition, IsIn):
            item = self._value(condition.item)
            inside = holds is not condition.negated
            test = f"{item} {'in' if inside else 'not in'} {self._bind(condition.members)}"
            return self._join(" and ", [*self._known(condition.item, item), test])
        value = self._value(condition.value)
        if isinstance(condition, IsMissing):
            return f"({value} is {'None' if holds else 'not None'})"
        return f"({value} is {holds})"

    def _join(self, word: str, parts: Sequence[str]) -> str:
        return f"({word.join(parts)})"

    def _known(self, value: Value, name: str) -> list[str]:
        if isinstance(value, Const) or (isinstance(value, FieldValue) and value.name in NEVER_MISSING):
            return []
        return [f"{name} is not None"]

    def _value(self, value: Value) -> str:
        """The name of a value; each is read once, at the head of the function."""
        if isinstance(value, Const):
            return self._bind(value.value)
        return self._local(self._read(value))

    def _read(self, value: Value) -> str:
        if isinstance(value, FieldValue):
            self._asks_local_time = self._asks_local_time or value.name in LOCAL_TIME_FIELDS
            return _FIELD_TEXT.get(value.name, f"p.{value.name}")
        if isinstance(value, AttributeValue):
            name = self._bind(value.name)
            return f"{_ATTRIBUTE_READERS.get(value.type, '_number')}(p.attributes.get({name}))"
        if isinstance(value, Computed):
            left, right = self._value(value.left), self._value(value.right)
            return f"_compute({self._bind(value.op)}, {left}, {right})"
        assert not isinstance(value, Const)
        return _feature(self._slots[value.feature.name])

    def _local(self, text: str) -> str:
        if text.isidentifier():
            return text
        return self._locals.setdefault(text, f"v{len(self._locals)}")

    def _bind(self, constant: Any) -> str:
        # By type as well: True equals 1.
        name = self._names.setdefault((type(constant).__name__, constant), f"c{len(self._names)}")
        self.bound[name] = constant
        return name


def _feature(slot: int) -> str:
    return f"f{slot}"


def compile_matches(conditions: Sequence[Condition], slots: Mapping[str, int], clock: PeriodClock) -> Matches:
    """The function that says which conditions are true: see `Writer.function`.

    `slots` are those of all features that the conditions ask for, `clock` is that of the ruleset's time zone.
    """
    writer = Writer(slots, clock)
    text = writer.function(conditions)
    scope: dict[str, Any] = dict(writer.bound)
    # The text holds names, operators and slot numbers only: whatever an analyst wrote is bound by name.
    exec(compile(text, "<ruleset>", "exec"), scope)  # noqa: S102
    return scope["matches"]
