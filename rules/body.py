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
_NO_MARKS: Final = (0,) * _RARE
_DIGEST_BYTES: Final = 8
_USUAL_MARKS: Final = struct.Struct(f"<{len(_OTHERS) - _RARE}H")
_RARE_MARKS: Final = struct.Struct(f"<{_RARE}H")
_MARK_BYTES: Final = 2
_PLACE: Final = struct.Struct("<2d")
_BLAKE2B: Final = blake2b(digest_size=_DIGEST_BYTES)
_ZEROS: Final = repeat(0)


class Body(NamedTuple):
    """What a purchase says: the fields that its decision tells too, a digest of all others, and a mark of each."""

    amount: int
    currency: str
    event_time: int
    digest: bytes
    marks: tuple[int, ...]


def body_of(purchase: PurchaseFields) -> Body:
    """A purchase's body, the same however its JSON was written."""
    return body_in(pack_bodies([purchase]), 1, 0, purchase.amount, purchase.currency, purchase.event_time)


def pack_bodies(purchases: Sequence[PurchaseFields]) -> bytes:
    """What bodies have beside what decisions tell: digests (BLAKE2b, RFC 7693), and behind them marks (CRC-16).

    Marks are of all fields but the last three for each purchase; behind them the numbers of the purchases that have any
    of these, and for each of them three more marks.
    """
    usual = [
        # One field a line: no text in them has a line end.
        f"{each.merchant_id}\n{each.mcc}\n{each.card_id or ''}\n{each.device_id or ''}\n"
        f"{each.ip or ''}\n{each.country or ''}\n{each.channel or ''}".encode()
        for each in purchases
    ]
    rare = {
        number: _rare_of(each)
        for number, each in enumerate(purchases)
        if each.location is not None or each.instalments is not None or each.attributes
    }
    texts = [*usual]
    for number, text in rare.items():
        texts[number] += b"\n" + text
    marks = _marks_of(b"\n".join(usual))
    marks += rare
    for text in rare.values():
        marks += _marks_of(text)
    return b"".join((*map(_digest, texts), struct.pack(f"<{len(marks)}H", *marks)))


def body_in(packed: bytes | memoryview, count: int, number: int, amount: int, currency: str, event_time: int) -> Body:
    """One of so many packed bodies, with what its decision tells."""
    marks_at, at = count * _DIGEST_BYTES, number * _DIGEST_BYTES
    rare_at = marks_at + count * _USUAL_MARKS.size
    marks = _USUAL_MARKS.unpack_from(packed, marks_at + number * _USUAL_MARKS.size)
    rare_count = (len(packed) - rare_at) // (_MARK_BYTES + _RARE_MARKS.size)
    rare = struct.unpack_from(f"<{rare_count}H", packed, rare_at)
    others = _NO_MARKS
    if number in rare:
        rare_marks_at = rare_at + rare_count * _MARK_BYTES
        others = _RARE_MARKS.unpack_from(packed, rare_marks_at + rare.index(number) * _RARE_MARKS.size)
    return Body(amount, currency, event_time, bytes(packed[at : at + _DIGEST_BYTES]), (*marks, *others))


def _marks_of(text: bytes) -> list[int]:
    """A mark of each line."""
    return [*map(crc_hqx, text.split(b"\n"), _ZEROS)]


def _rare_of(purchase: PurchaseFields) -> bytes:
    """The last three fields, of a purchase that has any of them."""
    location, instalments = purchase.location, purchase.instalments
    place = "" if location is None else _PLACE.pack(location.lat, location.lon).hex()
    parts = "" if instalments is None else f"{instalments.count} {instalments.interval_days}"
    return f"{place}\n{parts}\n{_attributes_text(purchase)}".encode()


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
    pairs = zip(_OTHERS, body.marks, other.marks, strict=True)
    marked = [name for name, mark, other_mark in pairs if mark != other_mark]
    return [*told, *(marked or ([] if told else _OTHERS))]
