"""Purchases in plain form, read fast: most are sent so, and pydantic takes twice as long for the same.

Plain are whole numbers as amount and time, an IPv4 address as it is usually written, and no mistake. What is not
plain is left to the model, `models.purchase.Purchase`, which alone says what a purchase is and what is wrong with one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, MsgspecError, Struct
from msgspec.json import Decoder

from models.fields import (
    CANONICAL_IPV4,
    IDENTIFIER_CHARS,
    MAX_AMOUNT_MINOR,
    MAX_ATTRIBUTES,
    MAX_EVENT_TIME_MS,
    MAX_ID_CHARS,
    MIN_EVENT_TIME_MS,
)
from models.money import CURRENCIES

# What follows from the characters of a text is seen at the end, for all texts at once.
_Text = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
if TYPE_CHECKING:
    _Currency = str
else:
    _Currency = Literal[CURRENCIES]


class PlainLocation(Struct, forbid_unknown_fields=True, gc=False):
    """Where the purchase was made, WGS 84 degrees."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]


class PlainInstalments(Struct, forbid_unknown_fields=True, gc=False):
    """How the purchase is to be paid back."""

    count: Annotated[int, Meta(ge=1, le=60)]
    interval_days: Annotated[int, Meta(ge=1, le=366)] = 30


class PlainPurchase(Struct, forbid_unknown_fields=True, gc=False):
    """The fields of a purchase, in the order of its model."""

    transaction_id: _Text
    account_id: _Text
    amount: Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR)]
    currency: _Currency
    event_time: Annotated[int, Meta(ge=MIN_EVENT_TIME_MS, le=MAX_EVENT_TIME_MS)]
    merchant_id: _Text
    mcc: Annotated[str, Meta(min_length=4, max_length=4)]
    card_id: _Text | None = None
    device_id: _Text | None = None
    # The shortest address has seven characters: none reads like the "None" of one that is missing.
    ip: Annotated[str, Meta(min_length=7)] | None = None
    country: Annotated[str, Meta(min_length=2, max_length=2)] | None = None
    channel: _Text | None = None
    location: PlainLocation | None = None
    instalments: PlainInstalments | None = None
    attributes: Annotated[dict[_Text, str | int | float | bool], Meta(max_length=MAX_ATTRIBUTES)] = {}


# No part may hold a line end, so each text stands where it was put.
_TEXTS: Final = re.compile(rf"[0-9]{{4}}(?:[A-Z]{{2}}|None)\n{IDENTIFIER_CHARS}++\n(?:{CANONICAL_IPV4}|None)")
_KEYS: Final = re.compile(rf"{IDENTIFIER_CHARS}*")
_decode: Final = Decoder(PlainPurchase).decode


def plain_purchase(raw: bytes) -> PlainPurchase | None:
    """Read a purchase in plain form from JSON; None for anything else."""
    try:
        purchase = _decode(raw)
    except (MsgspecError, ValueError):
        return None
    if not _TEXTS.fullmatch(
        f"{purchase.mcc}{purchase.country}\n"
        f"{purchase.transaction_id}{purchase.account_id}{purchase.merchant_id}"
        f"{purchase.card_id}{purchase.device_id}{purchase.channel}\n"
        f"{purchase.ip}"
    ):
        return None
    if purchase.attributes and not _KEYS.fullmatch("".join(purchase.attributes)):
        return None
    return purchase
