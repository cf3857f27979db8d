"""Verdicts on purchases."""

from __future__ import annotations

import orjson
import pytest

from models.label import InvalidLabel, decode_label
from tests.models.records import LABEL, PURCHASE, with_field, without_field


@pytest.mark.parametrize("verdict", ["fraud", "chargeback", "genuine"])
def test_each_verdict_is_read(verdict: str) -> None:
    label = decode_label(with_field(LABEL, "verdict", verdict))
    assert label.model_dump() == {**LABEL, "verdict": verdict, "purchase": None}
    assert label.says_fraud is (verdict != "genuine")


@pytest.mark.parametrize("verdict", ["Fraud", "", "stolen", None, True])
def test_another_verdict_is_refused_with_the_three_that_there_are(verdict: object) -> None:
    with pytest.raises(InvalidLabel, match=r"^label: verdict: .* is not fraud, chargeback or genuine$"):
        decode_label(with_field(LABEL, "verdict", verdict))


@pytest.mark.parametrize("field", LABEL)
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(InvalidLabel, match=f"^label: {field}: is required but missing: add it$"):
        decode_label(without_field(LABEL, field))


def test_bytes_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidLabel, match=r"^label: the record: is not valid JSON in UTF-8: "):
        decode_label(orjson.dumps(LABEL)[:-1])


def test_a_label_may_carry_its_purchase() -> None:
    purchase = decode_label(with_field(LABEL, "purchase", PURCHASE)).purchase
    assert purchase is not None
    assert purchase.model_dump(include=set(PURCHASE)) == PURCHASE


@pytest.mark.parametrize("field", ["transaction_id", "account_id"])
def test_a_purchase_that_the_label_is_not_on_is_refused(field: str) -> None:
    with pytest.raises(InvalidLabel) as caught:
        decode_label(with_field(LABEL, "purchase", {**PURCHASE, field: "x-9"}))
    assert str(caught.value) == (
        f"label: purchase.{field}: 'x-9' is not the label's '{LABEL[field]}': send the purchase that it is on"
    )


def test_what_is_wrong_with_the_purchase_of_a_label_is_told_with_its_place() -> None:
    with pytest.raises(InvalidLabel, match=r"^label: purchase\.amount: -1 is not a whole number of minor units"):
        decode_label(with_field(LABEL, "purchase", {**PURCHASE, "amount": -1}))
