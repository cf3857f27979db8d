"""The records on Kafka, and the ruleset file, as JSON Schema (draft 2020-12)."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from models.account import CreditLimit, Repayment
from models.decision import Decision
from models.inquiry import Inquiry
from models.label import Label
from models.purchase import Purchase
from models.reconciliation import Reconciliation
from models.ruleset import RulesetDocument
from models.settlement import Settlement, SettlementResult

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ID_PREFIX: Final = "urn:stopbank:schema:"
_RECORDS: Final[dict[str, Any]] = {
    "purchase": Purchase,
    "decision": Decision,
    "credit-limit": CreditLimit,
    "repayment": Repayment,
    "label": Label,
    "settlement": Settlement,
    "settlement-result": SettlementResult,
    "reconciliation": Reconciliation,
    "inquiry": Inquiry,
    "ruleset": RulesetDocument,
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """What the decoders accept, by the record's name."""
    return {name: _schema(name, record) for name, record in _RECORDS.items()}


def _schema(name: str, record: Any) -> dict[str, Any]:
    schema = TypeAdapter[Any](record).json_schema(mode="validation")
    schema.pop("title", None)
    return {
        "$schema": _DIALECT,
        "$id": _ID_PREFIX + name,
        "title": name.replace("-", " ").capitalize(),
        "description": (record.__doc__ or "").strip(),
        **{key: value for key, value in schema.items() if key != "description"},
    }
