"""A case of a rule file: a few purchases, one after the other, and what the rules are to say of them."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, StrictInt, StrictStr, StringConstraints, WithJsonSchema

from models.fields import Country, Identifier, IpAddress, MerchantCategory
from models.purchase import MAX_ATTRIBUTES, AttributeValue, Instalments, Location
from models.rule_fields import Part, ReasonCode, RulesetCurrency
from models.written import WrittenTime, as_written

MAX_PURCHASES: Final = 200
MAX_REPEAT: Final = 1_000

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)


def _time_text(value: object) -> object:
    text = value.text if isinstance(value, WrittenTime) else value
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise ValueError("is no time")
    datetime.fromisoformat(text.upper())
    return text.upper()


# In major units.
Amount = Annotated[
    Decimal,
    BeforeValidator(as_written),
    Field(gt=0, allow_inf_nan=False, max_digits=28),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]
Limit = Annotated[
    Decimal,
    BeforeValidator(as_written),
    Field(ge=0, allow_inf_nan=False, max_digits=28),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
# RFC 3339; the offset may be left out.
TimeText = Annotated[str, BeforeValidator(_time_text, json_schema_input_type=str)]
Pause = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}[smhd]$")]


class Expectation(Part):
    """What a decision is to be: its action, and, where they are given, exactly these reason codes."""

    action: Literal["approve", "flag", "block"]
    reasons: list[ReasonCode] | None = None
    shadow: list[ReasonCode] | None = None


class CaseAccount(Part):
    """What an account has before the first purchase; the limit is in major units of the ruleset's currency."""

    credit_limit: Limit


class CasePurchase(Part):
    """One purchase of a case, or `repeat` of them. `amount` is in major units of `currency`."""

    amount: Amount
    currency: RulesetCurrency | None = None
    account_id: Identifier = "a-1"
    merchant_id: Identifier = "m-1"
    mcc: MerchantCategory = "0000"
    transaction_id: Identifier | None = None
    card_id: Identifier | None = None
    device_id: Identifier | None = None
    ip: IpAddress | None = None
    country: Country | None = None
    channel: Identifier | None = None
    location: Location | None = None
    instalments: Instalments | None = None
    attributes: dict[Identifier, AttributeValue] = Field(
        default_factory=dict, max_length=MAX_ATTRIBUTES, json_schema_extra={"additionalProperties": False}
    )
    at: TimeText | None = None
    after: Pause | None = None
    repeat: Annotated[StrictInt, Field(ge=1, le=MAX_REPEAT)] = 1
    expect: Expectation | None = None


class CaseDocument(Part):
    """A case. `expect` is of its last purchase."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    accounts: dict[Identifier, CaseAccount] = Field(default_factory=dict)
    purchases: Annotated[list[CasePurchase], Field(min_length=1, max_length=MAX_PURCHASES)]
    expect: Expectation
