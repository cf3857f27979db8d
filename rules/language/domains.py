"""What fields and features can be at all, whatever purchases come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from models.fields import (
    MAX_AMOUNT_MINOR,
    Country,
    Identifier,
    IpAddress,
    MerchantCategory,
)
from models.ruleset import RulesetDocument
from rules.language.possible import Possible
from rules.language.typed import NEVER_MISSING, AttributeValue, Const, FieldValue, Measured, Type, Value
from rules.plan import Aggregate, Feature, scope_of

_NUMBERS: Final = {
    "hour": Possible(0, 23, whole=True),
    "day_of_week": Possible(1, 7, whole=True),
    "instalments": Possible(1, 60, whole=True),
    "anomaly": Possible(0, 1),
    "credit_limit": Possible(low=0, whole=True),
    "available_credit": Possible(whole=True),
}
_LEGENDS: Final = {
    "hour": "`hour` is 0 to 23",
    "day_of_week": "`day_of_week` is 1 (Monday) to 7 (Sunday)",
    "instalments": "`instalments` is 1 to 60",
    "anomaly": "`anomaly` is 0 to 1",
    "credit_limit": "a credit limit is never negative",
    "mcc": '`mcc` is four digits in quotes, like "5411"',
    "country": '`country` is two capital letters, like "CN"',
    "ip": '`ip` is one address in its usual form, like "203.0.113.7"',
}
_IDENTIFIER: Final = "an identifier has 1 to 128 characters and no spaces"
_FORMS: Final[Mapping[str, Any]] = {"mcc": MerchantCategory, "country": Country, "ip": IpAddress}


@dataclass(frozen=True)
class Domains:
    """The values that are possible under one ruleset: the currencies are those that it can convert."""

    currencies: frozenset[str]
    lowest_amount: int
    highest_amount: int | None

    def of(self, value: Value) -> Possible:
        """What a value can be where it is known."""
        if isinstance(value, Measured):
            return self._feature(value.feature)
        if isinstance(value, FieldValue):
            return self._field(value.name)
        if value.type is Type.BOOLEAN:
            return Possible(among=frozenset({True, False}))
        return Possible()

    def admits(self, value: Value, text: str) -> bool:
        """Whether a text has the form of what it is compared with."""
        if not isinstance(value, FieldValue):
            return True
        if value.name == "currency":
            return text in self.currencies
        return has_form(value.name, text)

    def legend(self, value: Value) -> str | None:
        """What a value can be, in words; None where there is nothing to say."""
        if isinstance(value, Measured):
            return _feature_legend(value.feature)
        if not isinstance(value, FieldValue):
            return None
        if value.name == "currency":
            return f"purchases are in {', '.join(sorted(self.currencies))} here: others have no rate under `rates`"
        return _LEGENDS.get(value.name, _IDENTIFIER if value.type is Type.TEXT else None)

    def _field(self, name: str) -> Possible:
        if name == "amount":
            return Possible(self.lowest_amount, self.highest_amount, whole=True)
        if name == "currency":
            return Possible(among=frozenset(self.currencies))
        return _NUMBERS.get(name, Possible())

    def _feature(self, feature: Feature) -> Possible:
        """What an aggregate can be: without an outcome, it counts the purchase itself."""
        itself = feature.outcome is None
        if feature.aggregate is Aggregate.COUNT:
            return Possible(low=1 if itself else 0, whole=True)
        if feature.aggregate is Aggregate.DISTINCT:
            in_entity = feature.field in scope_of(feature.entity)
            always = feature.field in NEVER_MISSING or in_entity
            return Possible(low=1 if itself and always else 0, high=1 if in_entity else None, whole=True)
        if feature.aggregate is Aggregate.SUM and itself:
            return Possible(low=self.lowest_amount, whole=True)
        return Possible(low=0, whole=True)


def domains_of(document: RulesetDocument) -> Domains:
    """The domains of a ruleset."""
    if document.rates:
        # What is converted may be rounded to nothing, or grow.
        return Domains(frozenset({document.currency, *document.rates}), 0, None)
    return Domains(frozenset({document.currency}), 1, MAX_AMOUNT_MINOR)


def never_missing(value: Value) -> bool:
    """Whether a value is always known."""
    return isinstance(value, Const) or (isinstance(value, FieldValue) and value.name in NEVER_MISSING)


def buyer_controls(value: Value) -> bool:
    """Whether a value comes from the buyer's side alone, who can make it what they like."""
    if isinstance(value, Measured):
        return set(value.feature.entity) <= _BUYERS
    return isinstance(value, AttributeValue) or (isinstance(value, FieldValue) and value.name in _BUYERS)


def is_evidence(value: Value) -> bool:
    """Whether a value says who buys, or where, in a way that the buyer does not choose freely."""
    if isinstance(value, Measured):
        return not buyer_controls(value)
    return isinstance(value, FieldValue) and value.name in _EVIDENCE


_BUYERS: Final = frozenset({"device_id", "ip", "channel", "country"})
_EVIDENCE: Final = frozenset(
    {"account_id", "merchant_id", "mcc", "card_id", "available_credit", "credit_limit", "anomaly"}
)


@lru_cache(maxsize=4096)
def has_form(name: str, text: str) -> bool:
    """Whether a field of a purchase can be this text."""
    try:
        return _form(name).validate_python(text) == text
    except ValidationError:
        return False


@lru_cache(maxsize=64)
def _form(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_FORMS.get(name, Identifier))


def _feature_legend(feature: Feature) -> str | None:
    if feature.aggregate is Aggregate.DISTINCT and feature.field in scope_of(feature.entity):
        if feature.field not in feature.entity:
            return "a card is counted within its account, so that there is one `account_id`"
        return f"there is one `{feature.field}` for each `{feature.field}`"
    if feature.aggregate is Aggregate.COUNT and feature.outcome is None:
        return "a purchase counts itself, so that a count is 1 at least"
    if feature.aggregate in (Aggregate.SINCE, Aggregate.AGE):
        return "time does not run backwards: it is 0 at least"
    return "it is never negative"
