"""Records that are right, for tests to break."""

from __future__ import annotations

from typing import Any, Final

import orjson

PURCHASE: Final[dict[str, Any]] = {
    "transaction_id": "t-1",
    "account_id": "a-1",
    "amount": 1999,
    "currency": "CNY",
    "event_time": 1_772_431_200_000,
    "merchant_id": "m-1001",
    "mcc": "5411",
}
# A purchase with every field.
WHOLE: dict[str, Any] = {
    **PURCHASE,
    "card_id": "c-1",
    "device_id": "d-1",
    "ip": "203.0.113.7",
    "country": "CN",
    "channel": "web",
    "location": {"lat": 31.2, "lon": 121.5},
    "instalments": {"count": 3, "interval_days": 30},
    "attributes": {"basket": 4, "gift": True},
}
CREDIT_LIMIT: Final[dict[str, Any]] = {
    "account_id": "a-1",
    "credit_limit": 500_000,
    "currency": "CNY",
    "event_time": 1_772_431_200_000,
}
REPAYMENT: Final[dict[str, Any]] = {
    "repayment_id": "r-1",
    "account_id": "a-1",
    "amount": 1999,
    "currency": "CNY",
    "event_time": 1_772_431_200_000,
}
LABEL: Final[dict[str, Any]] = {
    "transaction_id": "t-1",
    "account_id": "a-1",
    "verdict": "fraud",
    "event_time": 1_772_431_200_000,
}
SETTLEMENT: Final[dict[str, Any]] = {
    "transaction_id": "t-1",
    "account_id": "a-1",
    "kind": "void",
    "event_time": 1_772_431_200_000,
}
SETTLEMENT_RESULT: Final[dict[str, Any]] = {**SETTLEMENT, "status": "applied"}
INQUIRY: Final[dict[str, Any]] = {"transaction_id": "t-1"}
RECONCILIATION: Final[dict[str, Any]] = {
    "transaction_id": "t-1",
    "account_id": "a-1",
    "answered": "approve",
    "decided": "block",
    "differs": True,
    "degraded": ["default", "deadline"],
    "ruleset": "checkout",
    "answered_version": "",
    "decided_version": "0123456789ab",
    "amount": 1999,
    "currency": "CNY",
    "event_time": 1_772_431_200_000,
}


def with_field(record: dict[str, Any], name: str, value: object) -> bytes:
    """The JSON of a record with one field set."""
    return orjson.dumps({**record, name: value})


def without_field(record: dict[str, Any], name: str) -> bytes:
    """The JSON of a record with one field left out."""
    return orjson.dumps({key: value for key, value in record.items() if key != name})
