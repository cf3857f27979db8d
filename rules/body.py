"""A purchase's body: what tells whether it is sent again as it was, and else which fields differ."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from models.purchase import Purchase
from models.purchase_fields import PurchaseFields

# Two bodies are found by their account and transaction: these never differ.
FIELDS: Final = tuple(name for name in Purchase.model_fields if name not in ("transaction_id", "account_id"))
# What a decision tells itself.
_TOLD: Final = ("amount", "currency", "event_time")
_OTHERS: Final = tuple(name for name in FIELDS if name not in _TOLD)
# How many values stand for these: see `others_of`.
OTHERS: Final = 8
_RARE: Final = 3
_DIGEST_BYTES: Final = 8
_PLACE: Final = struct.Struct("<2d")

# For each field its text, or a digest of it.
_Texts = tuple[str | None, ...]


class Body(NamedTuple):
    """What a purchase says: the fields that its decision tells too, and all others."""

    amount: int
    currency: str
    event_time: int
    others: _Texts


def body_of(purchase: PurchaseFields) -> Body:
    """A purchase's body, the same however its JSON was written."""
    return body_from(purchase.amount, purchase.currency, purchase.event_time, others_of(purchase))


def others_of(purchase: PurchaseFields) -> tuple[object, ...]:
    """The fields that a decision does not tell, as values of JSON: `OTHERS` of them.

    The last one stands for the three that most purchases have none of. They may be long, so that digests of them are
    kept (BLAKE2b, RFC 7693).
    """
    rare = None
    if purchase.location is not None or purchase.instalments is not None or purchase.attributes:
        rare = [_digest(text) for text in _rare_of(purchase)]
    return (
        purchase.merchant_id,
        purchase.mcc,
        purchase.card_id,
        purchase.device_id,
        purchase.ip,
        purchase.country,
        purchase.channel,
        rare,
    )


def body_from(amount: int, currency: str, event_time: int, others: Sequence[object]) -> Body:
    """The body of which a decision tells the one part, and `others_of` the other."""
    *usual, rare = others
    texts: list[object] = [*usual, *(rare if isinstance(rare, list) else [None] * _RARE)]
    return Body(amount, currency, event_time, tuple(None if text is None else str(text) for text in texts))


def _rare_of(purchase: PurchaseFields) -> Sequence[str]:
    """The last three fields as texts; an empty one where there is none."""
    location, instalments = purchase.location, purchase.instalments
    place = "" if location is None else _PLACE.pack(location.lat, location.lon).hex()
    parts = "" if instalments is None else f"{instalments.count} {instalments.interval_days}"
    # The same for attributes in any order, and another one for 1, 1.0, true and "1". In ASCII: which characters `repr`
    # escapes changes with the release of Unicode, thus of Python.
    attributes = ascii(sorted(purchase.attributes.items())) if purchase.attributes else ""
    return place, parts, attributes


def _digest(text: str) -> str | None:
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest() if text else None


def differing_fields(body: Body, other: Body) -> Sequence[str]:
    """Names of the fields in which two bodies differ; none where they are the same."""
    told = [name for name in _TOLD if getattr(body, name) != getattr(other, name)]
    return [*told, *[name for name, one, two in zip(_OTHERS, body.others, other.others, strict=True) if one != two]]
