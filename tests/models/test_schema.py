"""The JSON Schemas say what the decoders accept."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from models.decision import Decision
from models.money import CURRENCIES
from models.schema import json_schemas
from tests.models.records import (
    CREDIT_LIMIT,
    INQUIRY,
    LABEL,
    PURCHASE,
    RECONCILIATION,
    REPAYMENT,
    SETTLEMENT,
    SETTLEMENT_RESULT,
)

RECORDS = {
    "purchase": PURCHASE,
    "credit-limit": CREDIT_LIMIT,
    "repayment": REPAYMENT,
    "label": LABEL,
    "settlement": SETTLEMENT,
    "settlement-result": SETTLEMENT_RESULT,
    "inquiry": INQUIRY,
    "reconciliation": RECONCILIATION,
}


def test_every_record_has_a_schema() -> None:
    assert set(json_schemas()) == set(RECORDS) | {"decision", "ruleset"}


@pytest.mark.parametrize("name", json_schemas())
def test_a_schema_says_what_it_is(name: str) -> None:
    schema = json_schemas()[name]
    assert schema["$id"] == f"urn:stopbank:schema:{name}"
    assert schema["title"]
    assert schema["description"]
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("name", "record"), RECORDS.items())
def test_a_schema_demands_what_the_decoder_demands(name: str, record: dict[str, Any]) -> None:
    assert set(json_schemas()[name]["required"]) == set(record)


def test_the_schema_of_a_decision_names_all_its_fields() -> None:
    assert tuple(json_schemas()["decision"]["properties"]) == Decision._fields


def test_a_currency_is_one_of_the_list() -> None:
    assert json_schemas()["purchase"]["properties"]["currency"]["enum"] == list(CURRENCIES)


def test_a_schema_is_plain_json_and_the_same_every_time() -> None:
    assert orjson.loads(orjson.dumps(json_schemas())) == json_schemas()
