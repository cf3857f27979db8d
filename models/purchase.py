"""A purchase, as the checkout asks about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from msgspec.structs import asdict
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.fields import (
    MAX_ATTRIBUTES,
    AmountMinor,
    Country,
    Currency,
    EventTimeMs,
    Identifier,
    IpAddress,
    MerchantCategory,
)
from models.plain_purchase import plain_purchase
from models.problem import Wanted, first_problem
from models.purchase_fields import PurchaseFields

_Made = TypeVar("_Made", bound=BaseModel)


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


def read_purchase_fields(raw: bytes) -> PurchaseFields:
    """Read the fields of a purchase from JSON, at half of what the model costs. Raises InvalidPurchase."""
    return plain_purchase(raw) or _validated(raw)


def decode_purchase(raw: bytes) -> Purchase:
    """Read a purchase from JSON. Raises InvalidPurchase."""
    plain = plain_purchase(raw)
    if plain is not None:
        fields = asdict(plain)
        if plain.location is not None:
            fields["location"] = _made(Location, asdict(plain.location))
        if plain.instalments is not None:
            fields["instalments"] = _made(Instalments, asdict(plain.instalments))
        return _made(Purchase, fields)
    return _validated(raw)


def _validated(raw: bytes) -> Purchase:
    try:
        return _purchase.validate_json(raw)
    except ValidationError as error:
        raise InvalidPurchase(first_problem(error, "purchase")) from None


_FIELD_NAMES: Final[Mapping[type[BaseModel], set[str]]] = {
    model: set(model.model_fields) for model in (Purchase, Location, Instalments)
}
_set_fields, _set_field_names, _set_extra, _set_private = (
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


def _made(model: type[_Made], fields: dict[str, Any]) -> _Made:
    """A record of fields that were checked: what `model_construct` makes, at a tenth of its cost."""
    made = model.__new__(model)
    _set_fields(made, fields)
    _set_field_names(made, _FIELD_NAMES[model])
    _set_extra(made, None)
    _set_private(made, None)
    return made
