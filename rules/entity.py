"""Entities: what purchases are counted by, one field of a purchase or a tuple of fields."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Final

from models.purchase_fields import PurchaseFields

# A copy of a digest costs half of a new one.
_BLAKE2B: Final = blake2b(digest_size=8)


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace(",", "%2C")


def entity_key(entity: tuple[str, ...], purchase: PurchaseFields) -> str | None:
    """The text that names this purchase's entity; None where a field of it is missing.

    `device_id:d-17` for one field, `device_id,ip:d-17,10.0.0.1` for a tuple, whose values have `%` and `,`
    percent-escaped.
    """
    if len(entity) == 1:
        (field,) = entity
        value = getattr(purchase, field)
        return None if value is None else f"{field}:{value}"
    values: list[str] = []
    for value in attrgetter(*entity)(purchase):
        if value is None:
            return None
        values.append(_escaped(value))
    return f"{','.join(entity)}:{','.join(values)}"


def entity_of(key: str) -> tuple[str, ...]:
    """The fields that an entity key is made of."""
    return tuple(key.partition(":")[0].split(","))


def account_of(key: str) -> str:
    """The account of an entity key that has `account_id` among its fields."""
    fields, _, values = key.partition(":")
    names = fields.split(",")
    if len(names) == 1:
        return values
    return values.split(",")[names.index("account_id")].replace("%2C", ",").replace("%25", "%")


@lru_cache(maxsize=65_536)
def hash64(text: str) -> int:
    """64 bits of a text, signed and never 0: 0 stands for a missing value. BLAKE2b (RFC 7693)."""
    return int.from_bytes(transaction_hash(text), "little", signed=True) or 1


def transaction_hash(transaction_id: str) -> bytes:
    """The 8 bytes by which a window log knows a transaction. BLAKE2b (RFC 7693)."""
    digest = _BLAKE2B.copy()
    digest.update(transaction_id.encode())
    return digest.digest()


def value_hash(purchase: PurchaseFields, field: str) -> int:
    """The hash of a purchase's value of a field; 0 where it has none."""
    value = getattr(purchase, field)
    return 0 if value is None else hash64(str(value))
