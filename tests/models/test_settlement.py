"""Settlements and their results: what is read, and the sentence for what is not."""

from __future__ import annotations

from typing import Any, get_args

import orjson
import pytest

from models.settlement import (
    InvalidSettlement,
    SettlementCode,
    SettlementResult,
    decode_settlement,
    decode_settlement_result,
    encode_settlement_result,
)
from tests.models.records import SETTLEMENT, SETTLEMENT_RESULT, with_field

MONEY: dict[str, Any] = {"amount": 500, "currency": "CNY"}


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "capture"},
        {"kind": "capture", **MONEY},
        {"kind": "void"},
        {"kind": "refund", "refund_id": "r-1"},
        {"kind": "refund", "refund_id": "r-1", **MONEY},
        {"event_time": "2026-03-02T14:00:00+08:00"},
    ],
)
def test_a_settlement_is_read(changes: dict[str, Any]) -> None:
    settlement = decode_settlement(orjson.dumps({**SETTLEMENT, **changes}))
    assert settlement.event_time == 1_772_431_200_000
    assert settlement.amount == changes.get("amount")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "expire"}, "settlement: kind: 'expire' is not capture, void or refund"),
        ({"kind": "capture", "amount": 5}, "amount and currency go together"),
        ({"kind": "capture", "currency": "CNY"}, "amount and currency go together"),
        ({"kind": "void", **MONEY}, "a void is of the whole purchase"),
        ({"kind": "refund"}, "a refund needs a refund_id"),
        ({"kind": "capture", "refund_id": "r-1"}, "a capture has no refund_id"),
        ({"kind": "capture", **MONEY, "amount": 0}, "settlement: amount: 0 is not a whole number of minor units"),
        ({"note": "x"}, "settlement: note: is not a field of this record"),
    ],
)
def test_what_is_no_settlement_is_told_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidSettlement) as error:
        decode_settlement(orjson.dumps({**SETTLEMENT, **changes}))
    assert sentence in str(error.value)


def test_a_result_is_read_as_it_was_written() -> None:
    result = SettlementResult.model_validate(
        {**SETTLEMENT_RESULT, "status": "refused", "code": "already_captured", "state": "captured", "captured": 5}
    )
    text = encode_settlement_result(result)
    assert decode_settlement_result(text) == result
    assert b"null" not in text


@pytest.mark.parametrize(
    ("field", "value"), [("code", "because"), ("state", "lost"), ("status", "done"), ("captured", -1)]
)
def test_a_result_of_other_words_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidSettlement, match=f"settlement result: {field}: "):
        decode_settlement_result(with_field(SETTLEMENT_RESULT, field, value))


def test_every_code_is_one_word() -> None:
    assert all(code.replace("_", "").isalpha() and code.islower() for code in get_args(SettlementCode))
