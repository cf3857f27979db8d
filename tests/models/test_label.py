"""Verdicts on purchases."""

from __future__ import annotations

import orjson
import pytest

from models.label import InvalidLabel, decode_label
from tests.models.records import LABEL, with_field, without_field


@pytest.mark.parametrize("verdict", ["fraud", "chargeback", "genuine"])
def test_each_verdict_is_read(verdict: str) -> None:
    label = decode_label(with_field(LABEL, "verdict", verdict))
    assert label.model_dump() == {**LABEL, "verdict": verdict}


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
