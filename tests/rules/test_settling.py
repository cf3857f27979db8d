"""Settlements through a line: how they are answered, what waits, what is bounded, and what money does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decision import decode_decision
from models.settlement import SettlementResult, decode_settlement_result
from rules import settling, waiting
from rules.entity import transaction_hash
from rules.language.compile import compile_ruleset
from rules.reply import read_reply, reply_to_header
from rules.waiting import WAIT_PER_ACCOUNT
from tests.memory import MemoryLine

START_MS = 1_772_431_200_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
RULES = """
ruleset: checkout
currency: CNY
rates: {USD: 7}
rules:
  - {id: credit, when: amount > available_credit, then: block, final: true}
  - {id: often, when: "count(account_id, 30d, approved) > 1_000", then: block}
"""
APPROVED = "count(account_id, 30d, approved)"


class Checkout:
    """A line, what is sent to it, and what it says."""

    def __init__(self, rules: str = RULES, limit: int = 1_000) -> None:
        self.line = MemoryLine(compile_ruleset(rules), partitions=1)
        self.send("accounts", {"account_id": "a-1", "credit_limit": limit, "currency": "CNY", "event_time": START_MS})

    def send(self, topic: str, value: dict[str, Any], reply_id: str | None = None) -> None:
        headers = () if reply_id is None else (("trace", b"1"), reply_to_header(2, reply_id))
        key = str(value["account_id"]).encode()
        self.line.send(topic, key, orjson.dumps(value), START_MS + 400 * DAY_MS, headers)

    def buy(self, number: int, amount: int, time_ms: int = START_MS, **changes: object) -> str:
        value = {
            "transaction_id": f"t-{number}",
            "account_id": "a-1",
            "amount": amount,
            "currency": "CNY",
            "event_time": time_ms,
            "merchant_id": "m-1",
            "mcc": "5411",
            **changes,
        }
        self.send("purchases", value)
        return decode_decision(self.line.written["decisions"][-1].value or b"").action

    def settle(self, kind: str, number: int, reply_id: str | None = None, **more: object) -> SettlementResult:
        """The result; in it the amounts that more of it were applied to."""
        value = {"transaction_id": f"t-{number}", "account_id": "a-1", "kind": kind, "event_time": START_MS, **more}
        before = len(self.results())
        self.send("settlements", value, reply_id)
        return self.results()[before]

    def results(self) -> list[SettlementResult]:
        return [decode_settlement_result(output.value or b"") for output in self.line.written["settlements.results"]]

    def features(self) -> dict[str, Any]:
        return decode_decision(self.line.written["decisions"][-1].value or b"").features

    def crash(self) -> None:
        self.line.crash("assessments", 0)


def test_a_capture_keeps_credit_and_a_void_frees_it_once() -> None:
    checkout = Checkout()
    assert checkout.buy(1, 600) == "approve"
    assert checkout.buy(2, 600) == "block"
    assert checkout.settle("void", 1).released == 600
    assert checkout.settle("void", 1).status == "applied"
    assert checkout.buy(3, 1_001) == "block"
    assert checkout.buy(4, 1_000) == "approve"
    assert checkout.features()[APPROVED] == 1, "voided and blocked ones do not count"
    assert checkout.settle("capture", 4, amount=700, currency="CNY").released == 300
    assert checkout.buy(5, 301) == "block"
    assert checkout.buy(6, 300) == "approve"


def test_refunds_free_credit_each_once_and_the_last_takes_the_purchase_back() -> None:
    checkout = Checkout()
    checkout.buy(1, 1_000)
    checkout.settle("capture", 1)
    for refund_id, released in [("r-1", 400), ("r-1", 400), ("r-2", 600), ("r-2", 600)]:
        amount: dict[str, Any] = {"amount": 400, "currency": "CNY"} if refund_id == "r-1" else {}
        assert checkout.settle("refund", 1, refund_id=refund_id, **amount).released == released
        checkout.crash()
    assert checkout.buy(2, 1_000) == "approve"
    assert checkout.features()[APPROVED] == 1


def test_a_result_says_all_of_the_purchase_on_its_topic_and_to_whoever_asked() -> None:
    checkout = Checkout()
    checkout.buy(1, 500)
    result = checkout.settle("capture", 1, "ask-7", amount=100, currency="CNY")
    expected: dict[str, object] = {
        "transaction_id": "t-1", "account_id": "a-1", "kind": "capture", "status": "applied", "state": "captured",
        "reserved": 500, "captured": 100, "refunded": 0, "released": 400, "currency": "CNY", "event_time": START_MS,
    }  # fmt: skip
    assert result.model_dump(exclude_none=True) == expected
    (announced,) = checkout.line.written["settlements.results"]
    assert announced.key == b"a-1"
    assert ("trace", b"1") in announced.headers
    (reply,) = checkout.line.written["replies"]
    assert reply.partition == 2
    read = read_reply(checkout.line.topics["replies"][0][0])
    assert read is not None
    assert (read.id, read.kind, read.value) == ("ask-7", "settlement", announced.value)


def test_what_comes_before_its_purchase_waits_and_follows_its_decision_in_order() -> None:
    checkout = Checkout()
    assert checkout.settle("capture", 1, amount=100, currency="CNY").status == "waiting"
    assert checkout.settle("capture", 1, amount=100, currency="CNY", event_time=START_MS + 1).status == "waiting"
    assert checkout.settle("refund", 1, refund_id="r-1").status == "waiting"
    assert checkout.settle("void", 2).status == "waiting"
    checkout.crash()
    checkout.buy(1, 500)
    followed = checkout.results()[4:]
    assert [(each.kind, each.status, each.released) for each in followed] == [
        ("capture", "applied", 400),
        ("refund", "applied", 100),
    ]
    assert checkout.buy(3, 1_000) == "approve"


def test_who_waits_for_a_day_in_vain_is_refused() -> None:
    checkout = Checkout()
    checkout.buy(1, 1)
    checkout.settle("capture", 2)
    checkout.buy(3, 1, START_MS + DAY_MS - 1)
    assert [each.status for each in checkout.results()] == ["waiting"]
    checkout.crash()
    checkout.buy(4, 1, START_MS + DAY_MS)
    assert [(each.status, each.code) for each in checkout.results()[1:]] == [("refused", "unknown_transaction")]
    checkout.buy(2, 1, START_MS + DAY_MS)
    assert len(checkout.results()) == 2


def test_so_many_of_an_account_wait_and_the_first_goes_for_the_next() -> None:
    checkout = Checkout()
    for number in range(WAIT_PER_ACCOUNT):
        checkout.settle("capture", number)
    assert checkout.settle("capture", 1_000).status == "waiting"
    gone = checkout.results()[-1]
    assert (gone.transaction_id, gone.status, gone.code) == ("t-0", "refused", "unknown_transaction")


def test_so_many_wait_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAIT_IN_ALL", 3)
    checkout = Checkout()
    for number, later_ms in enumerate([5, 0, 9, 7, 8]):
        account: dict[str, Any] = {"account_id": f"a-{number % 2}", "event_time": START_MS + later_ms}
        checkout.settle("capture", number, **account)
        checkout.crash()
    refused = [each.transaction_id for each in checkout.results() if each.status == "refused"]
    assert refused == ["t-1", "t-0"]


def test_a_settlement_of_a_decision_without_a_reservation_does_not_wait() -> None:
    checkout = Checkout()
    checkout.buy(1, 1)
    desk: Any = checkout.line.folds["assessments", 0]
    desk._settling._reservations.drop("a-1", transaction_hash("t-1"))
    result = checkout.settle("capture", 1)
    assert (result.status, result.code, result.state) == ("refused", "unknown_transaction", None)


def test_a_reservation_that_nobody_captures_expires_by_the_event_time_of_its_partition() -> None:
    checkout = Checkout(RULES + "reservations: {expire_after: 7d}\n")
    checkout.buy(1, 1_000)
    checkout.crash()
    assert checkout.buy(2, 1, START_MS + 7 * DAY_MS - 1) == "block"
    checkout.crash()
    assert checkout.buy(3, 1_000, START_MS + 7 * DAY_MS) == "approve"
    (expired,) = checkout.results()
    assert (expired.transaction_id, expired.kind, expired.status) == ("t-1", "expire", "applied")
    assert expired.state == "expired"
    assert (expired.released, expired.event_time) == (1_000, START_MS + 7 * DAY_MS)
    assert checkout.features()[APPROVED] == 1
    assert checkout.settle("capture", 1).code == "already_expired"


def test_what_is_overdue_of_an_account_is_free_for_its_next_purchase_however_much_else_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settling, "MOST_AT_ONCE", 2)
    checkout = Checkout(RULES + "reservations: {expire_after: 1h}\n")
    for number in range(9):
        checkout.buy(number, 1, START_MS + number, account_id=f"b-{number}")
    checkout.buy(100, 300, START_MS + 10)
    checkout.buy(101, 700, START_MS + 11)
    checkout.crash()
    assert checkout.buy(102, 1_000, START_MS + 2 * HOUR_MS) == "approve"
    assert [each.transaction_id for each in checkout.results()] == ["t-100", "t-101", "t-0", "t-1"]
    checkout.buy(103, 1, START_MS + 2 * HOUR_MS)
    assert [each.transaction_id for each in checkout.results()[4:]] == ["t-2", "t-3"]


def test_without_expiry_a_reservation_holds_and_is_known_for_half_a_year() -> None:
    checkout = Checkout()
    checkout.buy(1, 1_000)
    checkout.buy(2, 1, START_MS + 180 * DAY_MS - 1)
    assert checkout.settle("capture", 1).status == "applied"
    checkout = Checkout()
    checkout.buy(1, 1_000)
    assert checkout.buy(2, 1, START_MS + 180 * DAY_MS) == "block"
    assert checkout.settle("capture", 1).status == "waiting"


def test_amounts_of_the_purchases_own_currency_are_shares_of_what_was_reserved_whatever_the_rate_is_by_now() -> None:
    checkout = Checkout(limit=10_000)
    checkout.buy(1, 100, currency="USD")
    dearer = compile_ruleset(RULES.replace("USD: 7", "USD: 9"))
    checkout.line.rulesets.use(dearer)
    assert checkout.settle("capture", 1, amount=101, currency="USD").code == "exceeds_reserved"
    captured = checkout.settle("capture", 1, amount=100, currency="USD")
    assert (captured.captured, captured.reserved, captured.currency) == (700, 700, "CNY")
    assert checkout.settle("refund", 1, refund_id="r-1", amount=50, currency="USD").released == 350


def test_a_currency_without_a_rate_is_refused_with_a_result_also_to_whoever_asked() -> None:
    checkout = Checkout()
    checkout.buy(1, 100)
    result = checkout.settle("capture", 1, "ask-1", amount=100, currency="EUR")
    assert (result.status, result.code, result.state, result.reserved) == ("refused", "no_rate", "reserved", 100)
    (reply,) = checkout.line.written["replies"]
    assert decode_settlement_result(reply.value or b"") == result
    assert not checkout.line.written["purchases.dlq"]


def test_a_purchase_is_settled_in_its_own_currency_when_that_has_no_rate_any_more() -> None:
    checkout = Checkout(limit=10_000)
    checkout.buy(1, 100, currency="USD")
    checkout.line.rulesets.use(compile_ruleset(RULES.replace("rates: {USD: 7}", "rates: {EUR: 1000000}")))
    assert checkout.settle("capture", 1, amount=50, currency="USD").captured == 350
    assert checkout.settle("refund", 1, refund_id="r-1", amount=10, currency="USD").released == 70
    assert checkout.settle("refund", 1, refund_id="r-2", amount=10**15, currency="EUR").code == "exceeds_captured"


def test_a_ruleset_in_another_currency_reckons_what_is_reserved_anew() -> None:
    checkout = Checkout(limit=2_000)
    checkout.buy(1, 700)
    checkout.settle("capture", 1)
    checkout.buy(2, 700)
    checkout.line.rulesets.use(compile_ruleset(RULES.replace("CNY", "EUR").replace("USD: 7", "CNY: 0.1")))
    voided = checkout.settle("void", 2)
    assert (voided.released, voided.currency) == (70, "EUR")
    part = checkout.settle("refund", 1, refund_id="r-1", amount=30, currency="EUR")
    assert (part.captured, part.refunded) == (70, 30)
    assert checkout.buy(3, 160, currency="EUR") == "approve"
    assert checkout.buy(4, 1, currency="EUR") == "block"


def test_where_no_rate_is_left_a_settlement_by_amount_is_refused_and_one_of_all_is_not() -> None:
    checkout = Checkout(limit=2_000)
    checkout.buy(1, 700)
    checkout.line.rulesets.use(compile_ruleset(RULES.replace("CNY", "EUR")))
    assert checkout.settle("capture", 1, amount=30, currency="EUR").code == "no_rate"
    captured = checkout.settle("capture", 1)
    assert (captured.captured, captured.currency) == (700, "CNY")


def test_a_purchase_that_is_decided_again_when_its_decision_is_forgotten_uses_no_credit_again() -> None:
    checkout = Checkout("ruleset: r\ncurrency: CNY\nrules: [{id: c, when: amount > available_credit, then: block}]\n")
    checkout.buy(1, 600)
    checkout.buy(2, 1, START_MS + 2 * DAY_MS)
    assert checkout.buy(1, 600) == "block"
    assert checkout.buy(3, 399, START_MS + 2 * DAY_MS) == "approve"


Deed = tuple[str, int, int]


@settings(max_examples=80, deadline=None)
@given(
    deeds=st.lists(
        st.tuples(
            st.sampled_from(["buy", "buy", "buy", "capture", "void", "refund", "later"]),
            st.integers(0, 11),
            st.sampled_from([1, 300, 400, 600, 999, 1_000, 1_001]),
        ),
        max_size=40,
    ),
    expires=st.booleans(),
)
def test_of_purchases_that_race_for_credit_no_more_are_approved_than_there_is(deeds: list[Deed], expires: bool) -> None:
    checkout = Checkout(RULES + ("reservations: {expire_after: 1h}\n" if expires else ""))
    time_ms, bought = START_MS, dict[int, tuple[int, int]]()
    for kind, number, amount in deeds:
        if kind == "later":
            time_ms += amount * 10_000
        elif kind == "buy":
            # The same id again is the same purchase.
            checkout.buy(number, *bought.setdefault(number, (amount, time_ms)))
        elif kind == "void":
            checkout.settle(kind, number)
        else:
            more = {"refund_id": f"r-{amount}"} if kind == "refund" else {}
            checkout.settle(kind, number, amount=amount, currency="CNY", event_time=time_ms, **more)
        assert _held(checkout) <= 1_000


def _held(checkout: Checkout) -> int:
    """What the approved purchases stand for by what was written of them alone."""
    decisions = [decode_decision(output.value or b"") for output in checkout.line.written["decisions"]]
    held = {d.transaction_id: d.amount for d in decisions if d.action != "block"}
    for result in checkout.results():
        if result.status == "applied":
            open_minor = result.reserved if result.state == "reserved" else result.captured - result.refunded
            held[result.transaction_id] = open_minor
    return sum(held.values())
