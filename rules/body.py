"""A purchase's body in a few bytes: enough to tell whether it is sent again as it was, and else which fields differ."""

from __future__ import annotations

import struct
from binascii import crc_hqx
from collections.abc import Sequence
from hashlib import blake2b
from itertools import repeat
from typing import Final

from models.purchase import Purchase
from models.purchase_fields import PurchaseFields

# Two bodies are found by their account and transaction: these never differ.
FIELDS: Final = tuple(name for name in Purchase.model_fields if name not in ("transaction_id", "account_id"))
_DIGEST_BYTES: Final = 8
_MARKS: Final = struct.Struct(f"<{len(FIELDS)}H")
BODY_BYTES: Final = _DIGEST_BYTES + _MARKS.size
_BODY: Final = struct.Struct(f"<{_DIGEST_BYTES}s{len(FIELDS)}H")
# Most purchases have none of the last three fields, whose marks are nothing then.
_SHORT_BODY: Final = struct.Struct(f"<{_DIGEST_BYTES}s{len(FIELDS) - 3}H6x")
_BLAKE2B: Final = blake2b(digest_size=_DIGEST_BYTES)
_ZEROS: Final = repeat(0)


def body_of(purchase: PurchaseFields) -> bytes:
    """A digest of all fields however their JSON was written (BLAKE2b, RFC 7693), and a mark of each field (CRC-16)."""
    # One field a line: no text in them has a line end.
    text = (
        f"{purchase.amount}\n{purchase.currency}\n{purchase.event_time}\n{purchase.merchant_id}\n{purchase.mcc}\n"
        f"{purchase.card_id or ''}\n{purchase.device_id or ''}\n{purchase.ip or ''}\n{purchase.country or ''}\n"
        f"{purchase.channel or ''}"
    )
    form, location, instalments = _SHORT_BODY, purchase.location, purchase.instalments
    if location is not None or instalments is not None or purchase.attributes:
        place = "" if location is None else f"{location.lat} {location.lon}"
        parts = "" if instalments is None else f"{instalments.count} {instalments.interval_days}"
        form, text = _BODY, f"{text}\n{place}\n{parts}\n{_attributes_text(purchase)}"
    lines = text.encode()
    digest = _BLAKE2B.copy()
    digest.update(lines)
    return form.pack(digest.digest(), *map(crc_hqx, lines.split(b"\n"), _ZEROS))


def _attributes_text(purchase: PurchaseFields) -> str:
    """The same for attributes in any order, and another one for 1, 1.0, true and "1"."""
    # In ASCII: which characters `repr` escapes changes with the release of Unicode, thus of Python.
    return ascii(sorted(purchase.attributes.items())) if purchase.attributes else ""


def differing_fields(body: bytes, other: bytes) -> Sequence[str]:
    """Names of the fields in which two bodies differ; none where they are the same.

    Two values of a field have the same mark once in 65,536 times: where that hides every difference, all are named.
    """
    if body == other:
        return ()
    pairs = zip(FIELDS, _MARKS.unpack(body[_DIGEST_BYTES:]), _MARKS.unpack(other[_DIGEST_BYTES:]), strict=True)
    return [name for name, mark, other_mark in pairs if mark != other_mark] or FIELDS
