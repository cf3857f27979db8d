"""Which records belong to some accounts or entities: their purchases, and what concerns these."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from models.fields import IpAddress
from models.purchase import InvalidPurchase, Purchase, decode_purchase
from rules.fold import Record
from rules.plan import ENTITY_FIELDS
from streams import topics
from streams.recording.errors import RecordingError
from streams.recording.recorded import FROM_DESKS

# What a selection keeps, purchases first: the rest is told by them. State is of everything or of no use.
SELECTED: Final = (
    topics.PURCHASES,
    topics.ACCOUNTS,
    topics.REPAYMENTS,
    topics.LABELS,
    topics.SETTLEMENTS,
    topics.DEGRADED,
    *FROM_DESKS,
    topics.RULESETS,
)
# These are about one purchase.
_OF_PURCHASES: Final = frozenset({topics.LABELS, topics.SETTLEMENTS, topics.DEGRADED, *FROM_DESKS})
_ip = TypeAdapter[str](IpAddress)


class Selection:
    """Accounts and entities, and what was found to be theirs so far."""

    def __init__(self, accounts: Collection[str], entities: Collection[str]) -> None:
        """`entities` are written `field:value`. Raises RecordingError for one that is not."""
        self._asked = [("account_id", account) for account in accounts] + [_entity(text) for text in entities]
        self._accounts = set(accounts)
        self._transactions: set[str] = set()

    def takes(self, topic: str, record: Record) -> bool:
        """Whether a record belongs to it. Of `SELECTED`, all purchases are to be asked about first."""
        if topic == topics.PURCHASES:
            return self._takes_purchase(record)
        if topic == topics.RULESETS:
            return True
        name, known = (
            ("transaction_id", self._transactions) if topic in _OF_PURCHASES else ("account_id", self._accounts)
        )
        return _field_of(record, name) in known

    def _takes_purchase(self, record: Record) -> bool:
        try:
            purchase = decode_purchase(record.value or b"")
        except InvalidPurchase:
            return False
        if not any(_has(purchase, field, value) for field, value in self._asked):
            return False
        self._accounts.add(purchase.account_id)
        self._transactions.add(purchase.transaction_id)
        return True


def _has(purchase: Purchase, field: str, value: str) -> bool:
    return getattr(purchase, field) == value


def _entity(text: str) -> tuple[str, str]:
    field, colon, value = text.partition(":")
    if not colon or not value or field not in ENTITY_FIELDS:
        raise RecordingError(f"{text!r} is no entity: write field:value, with one of {', '.join(ENTITY_FIELDS)}")
    if field != "ip":
        return field, value
    try:
        return field, _ip.validate_python(value)
    except ValidationError:
        raise RecordingError(f"{text!r} is no entity: {value!r} is not an IPv4 or IPv6 address") from None


def _field_of(record: Record, name: str) -> str | None:
    try:
        fields: Any = orjson.loads(record.value or b"")
        found = fields.get(name)
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
