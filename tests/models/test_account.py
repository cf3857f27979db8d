"""Credit limits and repayments."""

from __future__ import annotations

import orjson
import pytest

from models.account import InvalidAccountRecord, decode_credit_limit, decode_repayment
from tests.models.records import CREDIT_LIMIT, REPAYMENT, with_field, without_field


def test_a_credit_limit_is_read() -> None:
    assert decode_credit_limit(orjson.dumps(CREDIT_LIMIT)).model_dump() == CREDIT_LIMIT


def test_a_repayment_is_read() -> None:
    assert decode_repayment(orjson.dumps(REPAYMENT)).model_dump() == REPAYMENT


def test_a_limit_of_nothing_is_a_limit() -> None:
    assert decode_credit_limit(with_field(CREDIT_LIMIT, "credit_limit", 0)).credit_limit == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("credit_limit", -1, "credit_limit: -1 is not a whole number of minor units from 0 to 10^15"),
        ("credit_limit", 0.5, "credit_limit: 0.5 is not a whole number of minor units from 0 to 10^15"),
        ("currency", "RMB", "currency: 'RMB' is not an ISO 4217 code, e.g. CNY"),
        ("limit", 1, "limit: is not a field of this record: correct its name or leave it out"),
    ],
)
def test_a_bad_credit_limit_is_explained(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidAccountRecord) as caught:
        decode_credit_limit(with_field(CREDIT_LIMIT, field, value))
    assert str(caught.value) == f"credit limit: {message}"


@pytest.mark.parametrize("value", [0, -5, "5", None, 10**15 + 1])
def test_a_repayment_of_nothing_or_less_is_refused(value: object) -> None:
    with pytest.raises(InvalidAccountRecord, match=r"^repayment: amount: .* is not a whole number"):
        decode_repayment(with_field(REPAYMENT, "amount", value))


@pytest.mark.parametrize("field", REPAYMENT)
def test_a_field_that_a_repayment_lacks_is_named(field: str) -> None:
    with pytest.raises(InvalidAccountRecord, match=f"^repayment: {field}: is required but missing: add it$"):
        decode_repayment(without_field(REPAYMENT, field))


def test_a_repayment_is_no_credit_limit() -> None:
    with pytest.raises(InvalidAccountRecord, match=r"^credit limit: credit_limit: is required but missing"):
        decode_credit_limit(orjson.dumps(REPAYMENT))
