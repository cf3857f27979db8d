"""Settlements where a gateway has answered by itself: what the checkout was told is kept to, in any order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.rules.test_settling import APPROVED, DAY_MS, START_MS, Checkout


def answer(number: int, action: str) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}", "account_id": "a-1", "action": action, "reasons": [], "shadow": [],
        "anomaly": None, "contributions": [], "features": {}, "ruleset": "", "ruleset_version": "", "amount": 1_500,
        "currency": "CNY", "event_time": START_MS, "late": False, "degraded": ["default", "deadline"],
    }  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("told", "turned"), [("approve", True), ("flag", True), ("block", False), (None, False)])
def test_what_a_gateway_told_the_checkout_is_kept_to(told: str | None, turned: bool, before: bool) -> None:
    checkout = Checkout()
    if told is not None and before:
        checkout.send("decisions.degraded", answer(1, told))
    assert checkout.buy(1, 1_500) == "block"
    if told is not None and not before:
        checkout.send("decisions.degraded", answer(1, told))
    # Days later, when what was told is forgotten itself.
    checkout.buy(2, 1_500, START_MS + 5 * DAY_MS)
    checkout.crash()
    result = checkout.settle("capture", 1, amount=900, currency="CNY")
    assert (result.status, result.state) == (("applied", "captured") if turned else ("waiting", "declined"))
    assert checkout.buy(3, 100, START_MS + 6 * DAY_MS) == "approve"
    assert checkout.features()[APPROVED] == 1 + turned
    assert checkout.buy(4, 1, START_MS + 6 * DAY_MS) == ("block" if turned else "approve")


@pytest.mark.parametrize("order", list(permutations(["buy", "answer", "capture", "refund"])))
@pytest.mark.parametrize("crashes", [False, True])
def test_purchase_answer_and_settlements_come_to_the_same_in_every_order(
    order: tuple[str, ...], *, crashes: bool
) -> None:
    checkout = Checkout()
    for kind in order:
        if kind == "buy":
            checkout.buy(1, 1_500)
        elif kind == "answer":
            # Two gateways, of which one told the checkout to go ahead.
            for action in ("block", "approve") if order[0] == "buy" else ("approve", "block"):
                checkout.send("decisions.degraded", answer(1, action))
        elif kind == "capture":
            checkout.settle("capture", 1, amount=900, currency="CNY")
            assert checkout.settle("capture", 1, amount=900, currency="CNY").status != "refused"
        elif order.index("capture") < order.index("refund"):
            checkout.settle("refund", 1, refund_id="r-1", amount=200, currency="CNY")
        if crashes:
            checkout.crash()
    if order.index("capture") > order.index("refund"):
        checkout.settle("refund", 1, refund_id="r-1", amount=200, currency="CNY")
    result = checkout.settle("capture", 1, amount=900, currency="CNY")
    assert (result.status, result.captured, result.refunded) == ("applied", 900, 200)
    assert checkout.buy(2, 301) == "block"
    assert checkout.buy(3, 300) == "approve"
    assert checkout.features()[APPROVED] == 2


@pytest.mark.parametrize("answers", [("block", "approve"), ("approve", "block")])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_of_two_answers_the_one_to_go_ahead_counts_whichever_comes_first(answers: tuple[str, str], before: int) -> None:
    checkout = Checkout()
    for action in answers[:before]:
        checkout.send("decisions.degraded", answer(1, action))
    checkout.buy(1, 1_500)
    for action in answers[before:]:
        checkout.send("decisions.degraded", answer(1, action))
    assert checkout.settle("capture", 1).status == "applied"


def test_a_capture_of_what_is_declined_waits_for_a_day_and_is_then_refused() -> None:
    checkout = Checkout()
    checkout.buy(1, 1_500)
    for time_ms in (START_MS, START_MS + 1):
        waiting = checkout.settle("capture", 1, event_time=time_ms)
        assert (waiting.status, waiting.state, waiting.reserved) == ("waiting", "declined", 1_500)
    checkout.buy(2, 1, START_MS + DAY_MS - 1)
    assert len(checkout.results()) == 2
    checkout.crash()
    checkout.buy(3, 1, START_MS + DAY_MS)
    (refused,) = checkout.results()[2:]
    assert (refused.status, refused.code, refused.state) == ("refused", "not_approved", "declined")
