"""Degraded answers as they come in: read strictly, with what is wrong said in one line."""

from __future__ import annotations

from typing import Any

import pytest

from models.decision import Action, Decision, InvalidDecision, encode_decision
from rules.degraded import DEADLINE, DEFAULT, STATELESS_RULES
from rules.degraded_text import read_answer

ANSWER = Decision(
    "t-1", "a-1", Action.FLAG, [], [], None, [], {}, "", "", 500, "CNY", 1_772_431_200_000, False, [DEFAULT, DEADLINE]
)


@pytest.mark.parametrize("degraded", [[DEFAULT, DEADLINE], [STATELESS_RULES, "a cause of another version"]])
def test_an_answer_comes_back_from_its_text_as_it_was(degraded: list[str]) -> None:
    answer = ANSWER._replace(degraded=degraded)
    assert read_answer(encode_decision(answer)) == answer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"degraded": []}, "decision: degraded: is empty: full decisions are Stopbank's own to write"),
        ({"degraded": ["credit-unknown"]}, "decision: degraded: is not a tier"),
        ({"degraded": ["credit-unknown", "deadline"]}, "decision: degraded: is not a tier"),
        ({"degraded": [DEFAULT]}, "decision: degraded: is not a tier"),
        ({"degraded": [DEFAULT, DEADLINE, "more"]}, "decision: degraded: is not a tier"),
        ({"degraded": [DEFAULT, "x" * 129]}, "decision: degraded: is not a tier"),
        ({"transaction_id": ""}, "decision: transaction_id: '' is not text of 1 to 128 characters"),
        ({"account_id": "a" * 129}, "decision: account_id:"),
        ({"amount": 0}, "decision: amount: 0 is not a whole number of minor units"),
        ({"currency": "XXX"}, "decision: currency: 'XXX' is not an ISO 4217 code"),
        ({"event_time": 5}, "decision: event_time: 5 is not a time"),
        ({"ruleset_version": "v" * 129}, "decision: ruleset_version: has more than 128 characters"),
    ],
)
def test_what_is_no_degraded_answer_is_explained(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidDecision) as caught:
        read_answer(encode_decision(ANSWER._replace(**changes)))
    assert str(caught.value).startswith(message)
