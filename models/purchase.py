"""A purchase, as the checkout asks about it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.fields import (
    AmountMinor,
    Country,
    Currency,
    EventTimeMs,
    Identifier,
    IpAddress,
    MerchantCategory,
)
from models.problem import Wanted, first_problem

MAX_ATTRIBUTES: Final = 32


class InvalidPurchase(ValueError):  # noqa: N818  # reads as what it says: an invalid purchase
    """Bytes that are not a purchase; the message names the field and what is wrong with it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Location(_Record):
    """Where the purchase was made, WGS 84 degrees."""

    lat: Annotated[float, Field(ge=-90, le=90), Wanted("a latitude in degrees from -90 to 90")]
    lon: Annotated[float, Field(ge=-180, le=180), Wanted("a longitude in degrees from -180 to 180")]


class Instalments(_Record):
    """How the purchase is to be paid back."""

    count: Annotated[int, Field(ge=1, le=60), Wanted("a whole number from 1 to 60")]
    interval_days: Annotated[int, Field(ge=1, le=366), Wanted("a whole number of days from 1 to 366")] = 30


AttributeValue = Annotated[
    str | int | float | bool, Wanted("text, a finite number, true or false: leave nested values out")
]


class Purchase(_Record):
    """One purchase. `amount` is in minor units of `currency`, `event_time` in epoch milliseconds, UTC."""

    transaction_id: Identifier
    account_id: Identifier
    amount: AmountMinor
    currency: Currency
    event_time: EventTimeMs
    merchant_id: Identifier
    mcc: MerchantCategory
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


_purchase = TypeAdapter(Purchase)


def decode_purchase(raw: bytes) -> Purchase:
    """Read a purchase from JSON. Raises InvalidPurchase."""
    try:
        return _purchase.validate_json(raw)
    except ValidationError as error:
        raise InvalidPurchase(first_problem(error, "purchase")) from None
