"""How rules are judged on the Handbook's set: by how many of them match a payment."""

from __future__ import annotations

import pytest

from bench.datasets import CardPayment
from bench.handbook import TEST_WEEK
from bench.handbook_rules import judge_rules

DAY_MS = 86_400_000


def payment(card: str, day: int, *, is_fraud: bool) -> CardPayment:
    return CardPayment((TEST_WEEK + day) * DAY_MS, card, "terminal", 10_00, is_fraud)


# One payment a card: before the test week, on its first day, and after it.
PAYMENTS = [
    payment("before", -1, is_fraud=True),
    payment("stolen", 0, is_fraud=True),
    payment("honest", 0, is_fraud=False),
    payment("after", 7, is_fraud=True),
]


def test_a_fraud_that_more_rules_match_is_ranked_first() -> None:
    quality = judge_rules(PAYMENTS, [0, 3, 1, 0])
    assert (quality.auc_roc, quality.average_precision) == (1.0, 1.0)


def test_a_fraud_that_fewer_rules_match_is_ranked_last() -> None:
    quality = judge_rules(PAYMENTS, [9, 1, 3, 9])
    assert (quality.auc_roc, quality.average_precision) == (0.0, 0.5)


def test_payments_that_as_many_rules_match_are_a_tie() -> None:
    assert judge_rules(PAYMENTS, [0, 2, 2, 0]).auc_roc == 0.5


def test_every_payment_needs_its_number_of_rules() -> None:
    with pytest.raises(ValueError, match="3 numbers of matching rules for 4 payments"):
        judge_rules(PAYMENTS, [0, 3, 1])
