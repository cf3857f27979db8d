"""A purchase's body in a few bytes: enough to tell whether it is sent again as it was, and else which fields differ."""

from __future__ import annotations

import struct
from binascii import crc_hqx
from collections.abc import Sequence
from hashlib import blake2b
from itertools import repeat
from typing import Final, NamedTuple

from models.purchase import Purchase
from models.purchase_fields import PurchaseFields

# Two bodies are found by their account and transaction: these never differ.
FIELDS: Final = tuple(name for name in Purchase.model_fields if name not in ("transaction_id", "account_id"))
# What a decision tells itself.
_TOLD: Final = ("amount", "currency", "event_time")
_OTHERS: Final = tuple(name for name in FIELDS if name not in _TOLD)
# Most purchases have none of the last three.
_RARE: Final = 3
_NONE_RARE: Final = b"\n" * _RARE
_DIGEST_BYTES: Final = 8
_MARKS: Final = struct.Struct(f"<{len(_OTHERS)}H")
_BLAKE2B: Final = blake2b(digest_size=_DIGEST_BYTES)
_ZEROS: Final = repeat(0)


class Body(NamedTuple):
    """What a purchase says: the fields that its decision tells too, a digest of all others, and a mark of each."""

    amount: int
    currency: str
    event_time: int
    digest: bytes
    marks: bytes


def body_of(purchase: PurchaseFields) -> Body:
    """A purchase's body, the same however its JSON was written."""
    return body_in(pack_bodies([purchase]), 1, 0, purchase.amount, purchase.currency, purchase.event_time)


def pack_bodies(purchases: Sequence[PurchaseFields]) -> bytes:
    """What bodies have beside what decisions tell: digests (BLAKE2b, RFC 7693), and behind them marks (CRC-16).

    Marks are of all fields, or of all but the last three where no purchase has these.
    """
    texts = [_text_of(purchase) for purchase in purchases]
    digests = [*map(_digest, texts)]
    usual = len(_OTHERS) - _RARE - 1
    counts = [text.count(b"\n") for text in texts]
    if max(counts) > usual:
        texts = [text if count > usual else text + _NONE_RARE for text, count in zip(texts, counts, strict=True)]
    marks = [*map(crc_hqx, b"\n".join(texts).split(b"\n"), _ZEROS)]
    return b"".join((*digests, struct.pack(f"<{len(marks)}H", *marks)))


def body_in(packed: bytes, count: int, number: int, amount: int, currency: str, event_time: int) -> Body:
    """One of so many packed bodies, with what its decision tells."""
    marks_at, at = count * _DIGEST_BYTES, number * _DIGEST_BYTES
    width = (len(packed) - marks_at) // count
    marks = packed[marks_at + number * width : marks_at + (number + 1) * width].ljust(_MARKS.size, b"\0")
    return Body(amount, currency, event_time, packed[at : at + _DIGEST_BYTES], marks)


def _text_of(purchase: PurchaseFields) -> bytes:
    # One field a line: no text in them has a line end.
    text = (
        f"{purchase.merchant_id}\n{purchase.mcc}\n{purchase.card_id or ''}\n{purchase.device_id or ''}\n"
        f"{purchase.ip or ''}\n{purchase.country or ''}\n{purchase.channel or ''}"
    )
    location, instalments = purchase.location, purchase.instalments
    if location is not None or instalments is not None or purchase.attributes:
        place = "" if location is None else f"{location.lat} {location.lon}"
        parts = "" if instalments is None else f"{instalments.count} {instalments.interval_days}"
        text = f"{text}\n{place}\n{parts}\n{_attributes_text(purchase)}"
    return text.encode()


def _digest(text: bytes) -> bytes:
    # A copy of a digest costs half of a new one.
    digest = _BLAKE2B.copy()
    digest.update(text)
    return digest.digest()


def _attributes_text(purchase: PurchaseFields) -> str:
    """The same for attributes in any order, and another one for 1, 1.0, true and "1"."""
    # In ASCII: which characters `repr` escapes changes with the release of Unicode, thus of Python.
    return ascii(sorted(purchase.attributes.items())) if purchase.attributes else ""


def differing_fields(body: Body, other: Body) -> Sequence[str]:
    """Names of the fields in which two bodies differ; none where they are the same.

    Two values of a field that the decision does not tell have the same mark once in 65,536 times: where that hides
    every difference, all those are named.
    """
    told = [name for name in _TOLD if getattr(body, name) != getattr(other, name)]
    if body.digest == other.digest:
        return told
    pairs = zip(_OTHERS, _MARKS.unpack(body.marks), _MARKS.unpack(other.marks), strict=True)
    marked = [name for name, mark, other_mark in pairs if mark != other_mark]
    return [*told, *(marked or ([] if told else _OTHERS))]
