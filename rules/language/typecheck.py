"""The type checker: from the syntax of an expression to its meaning, or an error that says where it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from models.parameter import ParamValue
from rules.language import syntax
from rules.language.aggregates import feature_of
from rules.language.diagnostics import ExpressionError, did_you_mean
from rules.language.params import with_literals
from rules.language.syntax import Expression, Span
from rules.language.typed import (
    FIELDS,
    MIRRORED,
    All,
    AttributeValue,
    Compare,
    Computed,
    Condition,
    Const,
    Constant,
    Either,
    FieldValue,
    IsIn,
    IsMissing,
    IsTrue,
    Measured,
    Negated,
    Type,
    Value,
)
from rules.plan import Aggregate

_NUMERIC: Final = frozenset({Type.MONEY, Type.NUMBER, Type.DURATION})
_AGGREGATES: Final = frozenset(Aggregate)
# Numbers are below one, and multiples of the other: amounts in minor units stay within 64 bits.
_LARGEST: Final = Decimal(10) ** 15
_SMALLEST: Final = Decimal(10) ** -12
_MAX_DURATION_MS: Final = 36_500 * 86_400_000


def _type_of_money_feature(aggregate: Aggregate) -> Type:
    if aggregate in (Aggregate.SUM, Aggregate.AVG, Aggregate.MIN, Aggregate.MAX):
        return Type.MONEY
    return Type.DURATION if aggregate in (Aggregate.SINCE, Aggregate.AGE) else Type.NUMBER


@dataclass(frozen=True)
class Checker:
    """Checks the expressions of one ruleset, whose lists, parameters and currency they mean."""

    text: str
    decimals: int
    lists: Mapping[str, list[str | int]]
    used_lists: set[str]
    params: Mapping[str, ParamValue]

    # -- conditions ---------------------------------------------------------------------------------

    def condition(self, node: Expression) -> Condition:
        """The meaning of an expression that is true or false. Raises ExpressionError."""
        if isinstance(node, syntax.Logic):
            operands = tuple(self.condition(operand) for operand in node.operands)
            return All(operands) if node.op == "and" else Either(operands)
        if isinstance(node, syntax.Not):
            return Negated(self.condition(node.operand))
        if isinstance(node, syntax.Comparison):
            return self._comparison(node)
        if isinstance(node, syntax.Membership):
            return self._membership(node)
        if isinstance(node, syntax.Call) and node.name == "is_missing":
            return self._is_missing(node)
        value = self.value(node)
        if value.type is Type.ANY:
            return IsTrue(_as(value, Type.BOOLEAN))
        if value.type is not Type.BOOLEAN:
            raise ExpressionError(
                f"a rule needs a condition, and `{value.text}` is {value.type.described}",
                node.span,
                f"compare it: `{value.text} > …`" if value.type in _NUMERIC else f'compare it: `{value.text} == "…"`',
            )
        return IsTrue(value)

    def _comparison(self, node: syntax.Comparison) -> Condition:
        left, right = self.value(node.left), self.value(node.right)
        left, right = self._agree(left, right, node.left), self._agree(right, left, node.right)
        if Type.ANY in (left.type, right.type):
            raise ExpressionError(
                "the type of neither side is known", node.span, "compare an attribute with a constant"
            )
        if left.type is not right.type:
            raise ExpressionError(
                f"{left.type.described} can't be compared with {right.type.described}",
                node.span,
                _advice(left, right),
            )
        if node.op not in ("==", "!=") and left.type not in _NUMERIC:
            raise ExpressionError(f"`{node.op}` is for numbers, not for {left.type}s", node.span, "use `==` or `!=`")
        if isinstance(left, Const) and not isinstance(right, Const):
            return Compare(MIRRORED[node.op], right, left)
        return Compare(node.op, left, right)

    def _agree(self, value: Value, other: Value, node: Expression) -> Value:
        """A side of a comparison or sum in the type of the other, where that can be."""
        if value.type is Type.ANY and other.type is not Type.ANY:
            return _as(value, Type.NUMBER if other.type in _NUMERIC else other.type)
        if isinstance(node, syntax.Number) and isinstance(value, Const) and other.type is Type.MONEY:
            return Const(self._minor(node), Type.MONEY, value.text)
        return value

    def _minor(self, node: syntax.Number) -> int:
        minor = node.value.scaleb(self.decimals)
        if minor != minor.to_integral_value():
            raise ExpressionError(
                f"{self._slice(node.span)} has more decimals than the ruleset's currency",
                node.span,
                f"give {self.decimals} at most" if self.decimals else "give none",
            )
        return int(minor)

    def _membership(self, node: syntax.Membership) -> Condition:
        item = self.value(node.item)
        if isinstance(node.members, syntax.ListName):
            item, members = self._listed(item, node.members)
        else:
            item = self._of_one_kind(item, [self.value(literal).type for literal in node.members.items], node.members)
            members = frozenset(self._member(item, literal) for literal in node.members.items)
        return IsIn(item, members, self._slice(node.members.span), node.negated)

    def _member(self, item: Value, literal: syntax.Literal) -> Constant:
        constant = self._constant(literal)
        if isinstance(literal, syntax.Number) and item.type is Type.MONEY:
            return self._minor(literal)
        if constant.type is not item.type and not (isinstance(item, AttributeValue) and constant.type in _NUMERIC):
            raise ExpressionError(
                f"`{item.text}` is {item.type.described}, and `{constant.text}` is {constant.type.described}",
                literal.span,
                _quotes(constant) if item.type is Type.TEXT else None,
            )
        return constant.value

    def _listed(self, item: Value, node: syntax.ListName) -> tuple[Value, frozenset[Constant]]:
        """The item, and the members of a list of the ruleset as values of its type."""
        if node.name not in self.lists:
            advice = did_you_mean(node.name, self.lists) or "define it under `lists:`"
            raise ExpressionError(f"unknown list `@{node.name}`", node.span, advice)
        self.used_lists.add(node.name)
        members = self.lists[node.name]
        item = self._of_one_kind(item, [Type.TEXT if isinstance(m, str) else Type.NUMBER for m in members], node)
        if item.type is Type.TEXT:
            return item, frozenset(str(member) for member in members)
        numbers = [member for member in members if isinstance(member, int)]
        if len(numbers) < len(members) or item.type not in (Type.MONEY, Type.NUMBER, Type.ANY):
            holds = "texts" if len(numbers) < len(members) else "numbers"
            raise ExpressionError(f"`{item.text}` is {item.type.described}, and @{node.name} holds {holds}", node.span)
        unit = 10**self.decimals if item.type is Type.MONEY else 1
        return item, frozenset(number * unit for number in numbers)

    def _of_one_kind(self, item: Value, types: list[Type], node: syntax.ListName | syntax.InlineList) -> Value:
        """An item whose type is not known, in the type of the list's members."""
        kinds = {Type.NUMBER if kind in _NUMERIC else kind for kind in types}
        if item.type is not Type.ANY or not kinds:
            return item
        if len(kinds) > 1:
            said = " and ".join(sorted(f"{kind}s" for kind in kinds))
            raise ExpressionError(f"`{item.text}` is compared with {said} at once", node.span, "write all in quotes")
        return _as(item, kinds.pop())

    def _is_missing(self, node: syntax.Call) -> Condition:
        if len(node.arguments) != 1:
            raise ExpressionError("is_missing takes one value", node.span, "like `is_missing(device_id)`")
        return IsMissing(self.value(node.arguments[0]))

    # -- values -------------------------------------------------------------------------------------

    def value(self, node: Expression) -> Value:
        """The meaning of an expression that has a value. Raises ExpressionError."""
        if isinstance(node, syntax.Literal):
            return self._constant(node)
        if isinstance(node, syntax.Name):
            return self._field(node)
        if isinstance(node, syntax.Attribute):
            if node.base != "attributes":
                raise ExpressionError(f"unknown `{node.base}.`", node.span, "own fields are `attributes.NAME`")
            return AttributeValue(node.name, Type.ANY)
        if isinstance(node, syntax.Call):
            return self._call(node)
        if isinstance(node, syntax.Arithmetic):
            return self._arithmetic(node)
        if isinstance(node, syntax.Tuple):
            raise ExpressionError("a tuple names an entity inside an aggregate only", node.span)
        raise ExpressionError("a value is wanted here, not a condition", node.span)

    def _constant(self, node: syntax.Literal) -> Const:
        text = self._slice(node.span)
        if isinstance(node, syntax.Number):
            _refuse_size(node)
            return Const(_plain(node.value), Type.NUMBER, text)
        if isinstance(node, syntax.Duration):
            if node.length_ms > _MAX_DURATION_MS:
                raise ExpressionError("a duration has at most 36500d", node.span)
            return Const(node.length_ms, Type.DURATION, text)
        return Const(node.value, Type.TEXT if isinstance(node, syntax.Text) else Type.BOOLEAN, text)

    def _field(self, node: syntax.Name) -> Value:
        known = FIELDS.get(node.name)
        if known is None:
            raise ExpressionError(f"unknown field `{node.name}`", node.span, did_you_mean(node.name, FIELDS))
        return FieldValue(node.name, known)

    def _call(self, node: syntax.Call) -> Value:
        if node.name not in _AGGREGATES:
            suggestion = did_you_mean(node.name, [*_AGGREGATES, "is_missing"])
            raise ExpressionError(f"unknown function `{node.name}`", node.name_span, suggestion)
        feature = feature_of(node)
        return Measured(feature, _type_of_money_feature(feature.aggregate))

    def _arithmetic(self, node: syntax.Arithmetic) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if node.op in "+-":
            left, right = self._agree(left, right, node.left), self._agree(right, left, node.right)
        left, right = _as_number(left), _as_number(right)
        result = _result(node.op, left.type, right.type)
        if result is None:
            message = f"`{node.op}` is not defined for {left.type.described} and {right.type.described}"
            raise ExpressionError(message, node.span)
        return Computed(node.op, left, right, result, self._slice(node.span))

    def _slice(self, span: Span) -> str:
        """A piece of the text for people: a parameter as what it stands for."""
        return with_literals(" ".join(self.text[span.start : span.end].split()), self.params)


def _refuse_size(node: syntax.Number) -> None:
    if abs(node.value) >= _LARGEST:
        advice = "is it an id? write it in quotes"
        raise ExpressionError("a number has at most 15 digits before the point", node.span, advice)
    if node.value != node.value.quantize(_SMALLEST):
        raise ExpressionError("a number has at most 12 digits behind the point", node.span)


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _as(value: Value, kind: Type) -> Value:
    return AttributeValue(value.name, kind) if isinstance(value, AttributeValue) else value


def _as_number(value: Value) -> Value:
    return _as(value, Type.NUMBER) if value.type is Type.ANY else value


def _result(op: str, left: Type, right: Type) -> Type | None:
    if left not in _NUMERIC or right not in _NUMERIC:
        return None
    if op in "+-":
        return left if left is right else None
    if right is Type.NUMBER:
        return left
    if op == "*":
        return right if left is Type.NUMBER else None
    return Type.NUMBER if left is right else None


def _advice(left: Value, right: Value) -> str | None:
    for one, other in ((left, right), (right, left)):
        if one.type is Type.DURATION and isinstance(other, Const) and other.type is Type.NUMBER:
            return f"give it a unit, like `{other.text}m`"
        if one.type is Type.TEXT and isinstance(other, Const) and other.type is Type.NUMBER:
            return _quotes(other)
    return None


def _quotes(constant: Const) -> str:
    return f'write it in quotes: "{constant.text}"'
