"""The syntax tree of an expression, as it was written. Spans are offsets into its text."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Span:
    """Where a piece of an expression begins and ends in its text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or an amount of money in major units."""

    value: Decimal
    span: Span


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time."""

    length_ms: int
    span: Span


@dataclass(frozen=True, slots=True)
class Text:
    """A string in quotes."""

    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    value: bool
    span: Span


Literal = Number | Duration | Text | Boolean


@dataclass(frozen=True, slots=True)
class Name:
    """A field, a calendar window or an outcome."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Attribute:
    """`attributes.NAME`: a field of the sender's own."""

    base: str
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Tuple:
    """Names in parentheses: an entity of several fields."""

    items: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """An aggregate or `is_missing`."""

    name: str
    arguments: tuple[Expression, ...]
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class ListName:
    """`@name`: a list of the ruleset."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class InlineList:
    """Values in brackets."""

    items: tuple[Literal, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`+`, `-`, `*` or `/`."""

    op: str
    left: Expression
    right: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """`==`, `!=`, `<`, `<=`, `>` or `>=`."""

    op: str
    left: Expression
    right: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Membership:
    """`in` or `not in` a list."""

    item: Expression
    members: ListName | InlineList
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Logic:
    """`and` or `or`."""

    op: str
    operands: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    """`not`."""

    operand: Expression
    span: Span


Expression = (
    Number
    | Duration
    | Text
    | Boolean
    | Name
    | Attribute
    | Tuple
    | Call
    | Arithmetic
    | Comparison
    | Membership
    | Logic
    | Not
)
