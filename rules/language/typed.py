"""The typed tree: what the type checker makes of an expression, and the compiler and interpreter work from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rules.plan import Feature

Constant = int | float | str | bool


class Type(StrEnum):
    """The type of a value. Money is in minor units, durations in milliseconds; ANY is a sender's own field."""

    MONEY = "money"
    NUMBER = "number"
    DURATION = "duration"
    TEXT = "text"
    BOOLEAN = "boolean"
    ANY = "any"

    @property
    def described(self) -> str:
        """With its article, for messages."""
        return _DESCRIBED[self]


_DESCRIBED: Final = {
    Type.MONEY: "an amount of money",
    Type.NUMBER: "a number",
    Type.DURATION: "a duration",
    Type.TEXT: "a text",
    Type.BOOLEAN: "true or false",
    Type.ANY: "of no type that is known",
}

# Fields of a purchase and of its account, with their types.
FIELDS: Final = {
    "transaction_id": Type.TEXT,
    "account_id": Type.TEXT,
    "amount": Type.MONEY,
    "currency": Type.TEXT,
    "merchant_id": Type.TEXT,
    "mcc": Type.TEXT,
    "card_id": Type.TEXT,
    "device_id": Type.TEXT,
    "ip": Type.TEXT,
    "country": Type.TEXT,
    "channel": Type.TEXT,
    "instalments": Type.NUMBER,
    "hour": Type.NUMBER,
    "day_of_week": Type.NUMBER,
    "available_credit": Type.MONEY,
    "credit_limit": Type.MONEY,
    "anomaly": Type.NUMBER,
}
# Fields that every purchase has.
NEVER_MISSING: Final = frozenset(
    {"transaction_id", "account_id", "amount", "currency", "merchant_id", "mcc", "hour", "day_of_week"}
)
# Comparison operators: what is true where the other is false, and what is said with the sides changed.
OPPOSITE: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
# Those that depend on the ruleset's time zone.
LOCAL_TIME_FIELDS: Final = frozenset({"hour", "day_of_week"})


@dataclass(frozen=True, slots=True)
class Const:
    """A constant."""

    value: Constant
    type: Type
    text: str


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A field of the purchase or its account, unknown where it is missing."""

    name: str
    type: Type

    @property
    def text(self) -> str:
        """As it is written."""
        return self.name


@dataclass(frozen=True, slots=True)
class AttributeValue:
    """A field of the sender's own, unknown where it is missing or of another type than `type`."""

    name: str
    type: Type

    @property
    def text(self) -> str:
        """As it is written."""
        return f"attributes.{self.name}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A feature."""

    feature: Feature
    type: Type

    @property
    def text(self) -> str:
        """Its canonical text."""
        return self.feature.name


@dataclass(frozen=True, slots=True)
class Computed:
    """Arithmetic: unknown where an operand is, where it would divide by zero, and where the result is too large."""

    op: str
    left: Value
    right: Value
    type: Type
    text: str


Value = Const | FieldValue | AttributeValue | Measured | Computed


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison: unknown where a side is."""

    op: str
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class IsIn:
    """Membership in a list: unknown where the item is."""

    item: Value
    members: frozenset[Constant]
    members_text: str
    negated: bool


@dataclass(frozen=True, slots=True)
class IsMissing:
    """Whether a value is unknown; never unknown itself."""

    value: Value


@dataclass(frozen=True, slots=True)
class IsTrue:
    """A boolean value as a condition."""

    value: Value


@dataclass(frozen=True, slots=True)
class All:
    """`and`: false where any operand is, else unknown where any is."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """`or`: true where any operand is, else unknown where any is."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """`not`: unknown stays unknown."""

    operand: Condition


Condition = Compare | IsIn | IsMissing | IsTrue | All | Either | Negated
