"""A purchase's body in a few bytes: enough to tell whether it is sent again as it was, and else which fields differ."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from zlib import crc32

import orjson

from models.purchase import Purchase

# Two bodies are found by their account and transaction: these never differ.
FIELDS: Final = tuple(name for name in Purchase.model_fields if name not in ("transaction_id", "account_id"))
_DIGEST_BYTES: Final = 8
_MARKS: Final = struct.Struct(f"<{len(FIELDS)}H")
BODY_BYTES: Final = _DIGEST_BYTES + _MARKS.size
_MARK: Final = 0xFFFF


def body_of(purchase: Purchase) -> bytes:
    """A digest of all fields, however their JSON was written (BLAKE2b, RFC 7693), and a mark for each field."""
    fields = vars(purchase)
    if purchase.attributes:
        fields = {**fields, "attributes": sorted(purchase.attributes.items())}
    if purchase.location is not None or purchase.instalments is not None:
        fields = {name: getattr(value, "__dict__", value) for name, value in fields.items()}
    digest = blake2b(orjson.dumps(fields), digest_size=_DIGEST_BYTES).digest()
    return digest + _MARKS.pack(*[_mark(fields[name]) for name in FIELDS])


def _mark(value: object) -> int:
    if value is None:
        return 0
    return crc32(value.encode() if isinstance(value, str) else orjson.dumps(value)) & _MARK


def differing_fields(body: bytes, other: bytes) -> Sequence[str]:
    """Names of the fields in which two bodies differ; none where they are the same.

    Two values of a field have the same mark once in 65,536 times: where that hides every difference, all are named.
    """
    if body == other:
        return ()
    pairs = zip(FIELDS, _MARKS.unpack(body[_DIGEST_BYTES:]), _MARKS.unpack(other[_DIGEST_BYTES:]), strict=True)
    return [name for name, mark, other_mark in pairs if mark != other_mark] or FIELDS
