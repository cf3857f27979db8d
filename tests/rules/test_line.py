"""The whole line in memory: crashes change no byte, repeats count once, what can't be used is kept whole."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest

from models.decision import Decision, decode_decision
from rules.fold import Headers, Output
from rules.language.compile import CompiledRuleset, compile_ruleset
from streams.simulate import SimulationConfig, simulate
from tests.integration.shopping import ACCOUNT_RULES as SHOPPING_RULES
from tests.integration.shopping import EXPIRY, shopping
from tests.memory import MemoryLine

ROOT = Path(__file__).resolve().parents[2]
START_MS = 1_772_431_200_000
HOUR_MS = 3_600_000


def ruleset(name: str) -> CompiledRuleset:
    return compile_ruleset((ROOT / "examples" / "rules" / f"{name}.yaml").read_text(), name)


RULES = """
ruleset: checkout
currency: CNY
rates: {USD: 7}
max_rows: 32
rules:
  - {id: burst, when: "count(account_id, 10m) > 2", then: block}
  - {id: device, when: "count(device_id, 1h) > 3", then: flag}
  - {id: credit, when: amount > available_credit, then: block, final: true}
"""


def purchase(number: int, **changes: object) -> dict[str, object]:
    return {
        "transaction_id": f"t-{number}",
        "account_id": "a-1",
        "amount": 1_000,
        "currency": "CNY",
        "event_time": START_MS + number * 60_000,
        "merchant_id": "m-1",
        "mcc": "5411",
        "device_id": "d-1",
        **changes,
    }


class Checkout:
    """One line with the rules above, and what came out of it."""

    def __init__(self) -> None:
        self.line = MemoryLine(compile_ruleset(RULES), partitions=2)

    def send(self, value: object, *, topic: str = "purchases", key: bytes | None = b"a-1", at_ms: int = 0) -> None:
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        self.line.send(topic, key, raw, at_ms or START_MS + 24 * HOUR_MS)

    def decisions(self) -> list[Decision]:
        return [decode_decision(output.value or b"") for output in self.line.written["decisions"]]

    def dead_letters(self) -> list[tuple[str, bytes | None, bytes | None]]:
        return [
            (dict(output.headers)["dlq-reason"].decode(), output.key, output.value)
            for output in self.line.written["purchases.dlq"]
        ]


def test_folds_read_back_at_any_moment_settle_to_the_same_bytes() -> None:
    compiled, seed = compile_ruleset(SHOPPING_RULES + EXPIRY), 7
    steady, shaken = MemoryLine(compiled), MemoryLine(compiled)
    rng = random.Random(seed)
    for one in shopping(seed, 1_500, accounts=40, hours=40.0, disorder=0.03, settlements=True):
        for line in (steady, shaken):
            line.send(one.topic, one.key, one.value, START_MS + 1_000 * HOUR_MS)
        if rng.random() < 0.05:
            shaken.crash("assessments", rng.randrange(4))
    for topic in ("decisions", "settlements.results"):
        assert shaken.written[topic] == steady.written[topic]
        assert len(steady.written[topic]) >= 1_500
    assert {at: state for at, state in shaken.state.items() if state} == {
        at: state for at, state in steady.state.items() if state
    }


@pytest.mark.parametrize("name", ["account-only", "checkout", "twelve-rules"])
def test_folds_read_back_at_any_moment_decide_the_same_bytes(name: str) -> None:
    compiled, seed = ruleset(name), 5
    events = simulate(SimulationConfig(seed, 60, 2_500, START_MS, 6 * 3600.0)).events
    steady, shaken = MemoryLine(compiled), MemoryLine(compiled)
    rng = random.Random(seed)
    for event in events:
        if event.topic == "labels":
            continue
        for line in (steady, shaken):
            line.send(event.topic, event.key.encode(), orjson.dumps(event.value), event.at_ms)
        if rng.random() < 0.02:
            shaken.crash(rng.choice(["sightings", "assessments"]), rng.randrange(4))
    assert shaken.written["decisions"] == steady.written["decisions"]
    assert {at: state for at, state in shaken.state.items() if state} == {
        at: state for at, state in steady.state.items() if state
    }


def test_the_same_purchase_again_is_answered_with_the_same_bytes_and_counts_once() -> None:
    checkout = Checkout()
    checkout.send(purchase(1))
    checkout.send(orjson.dumps(purchase(1), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
    checkout.send(purchase(2))
    first, again, second = checkout.line.written["decisions"]
    assert first.value == again.value
    assert [d.features["count(account_id, 10m)"] for d in checkout.decisions()] == [1, 1, 2]
    assert decode_decision(second.value or b"").features["count(device_id, 1h)"] == 2


def test_a_transaction_with_another_body_is_a_conflict_and_is_kept_whole() -> None:
    checkout = Checkout()
    checkout.send(purchase(1))
    other = orjson.dumps(purchase(1, amount=999))
    checkout.send(other, key=b"another key")
    assert checkout.dead_letters() == [("conflict", b"another key", other)]
    assert len(checkout.decisions()) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"not json", "malformed"),
        (b"", "malformed"),
        (orjson.dumps(purchase(1, amount=-5)), "malformed"),
        (orjson.dumps(purchase(1, colour="red")), "malformed"),
        (orjson.dumps(purchase(1, currency="EUR")), "no-rate"),
        (orjson.dumps(purchase(1, event_time=START_MS + 25 * HOUR_MS)), "future"),
        (orjson.dumps(purchase(1, attributes={"note": "x" * 70_000})), "oversized"),
    ],
)
def test_what_cannot_be_used_becomes_a_dead_letter_and_stalls_nothing(value: bytes, reason: str) -> None:
    checkout = Checkout()
    headers = (("traceparent", b"00-1"), ("traceparent", b"00-2"))
    checkout.line.send("purchases", None, value, START_MS + 24 * HOUR_MS, headers)
    checkout.send(purchase(2))
    (letter,) = checkout.line.written["purchases.dlq"]
    assert (letter.key, letter.value) == (None, value)
    assert letter.timestamp_ms == START_MS + 24 * HOUR_MS
    assert letter.headers[:2] == headers
    assert dict(letter.headers)["dlq-reason"] == reason.encode()
    assert dict(letter.headers)["dlq-source"] == b"purchases-0@0"
    assert dict(letter.headers)["dlq-detail"]
    assert [d.transaction_id for d in checkout.decisions()] == ["t-2"]


@pytest.mark.parametrize("topic", ["sightings", "assessments"])
@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("stopbank-route", b"{"),),
        (("stopbank-route", b"[1,2]"),),
        (("stopbank-route", b'["purchase",[],["purchases",0,0,0],null,true,[],[]]'),),
        (("stopbank-route", b'["purchase","checkout@1",["purchases"],null,true,[],[]]'),),
        (("stopbank-route", b'["purchase","checkout@1",["purchases",0,0,0],null,true,[1],[]]'),),
        (("stopbank-route", b'["purchase","checkout@1",["purchases",0,0,0],null,true,[],[7]]'),),
        (("stopbank-route", b'["purchase","checkout@1",["purchases",0,0,0],null,true,[],[["device_id",[["x",[]]]]]]'),),
    ],
)
def test_a_foreign_record_on_an_internal_topic_is_a_dead_letter(
    topic: str, headers: tuple[tuple[str, bytes], ...]
) -> None:
    checkout = Checkout()
    checkout.line.send(topic, b"a-1", b"hello", START_MS, headers)
    checkout.send(purchase(2))
    assert [reason for reason, _, _ in checkout.dead_letters()] == ["foreign"]
    assert len(checkout.decisions()) == 1


def test_a_late_purchase_is_decided_by_its_own_time_and_marked() -> None:
    checkout = Checkout()
    checkout.send(purchase(1))
    late = START_MS - 25 * HOUR_MS
    checkout.send(purchase(2, event_time=late))
    checkout.send(purchase(3, event_time=late + 1))
    assert [d.late for d in checkout.decisions()] == [False, True, True]
    assert [d.features["count(account_id, 10m)"] for d in checkout.decisions()] == [1, 1, 2]


def test_credit_is_used_by_what_is_approved_and_freed_by_repayments_once() -> None:
    checkout = Checkout()

    def credit_limit(limit: int) -> dict[str, object]:
        return {"account_id": "a-1", "credit_limit": limit, "currency": "CNY", "event_time": START_MS}

    def repayment(number: int, amount: int) -> dict[str, object]:
        return {
            "repayment_id": f"r-{number}",
            "account_id": "a-1",
            "amount": amount,
            "currency": "USD",
            "event_time": START_MS,
        }

    def asked(number: int, amount: int) -> str:
        checkout.send(purchase(number, amount=amount, event_time=START_MS + number * HOUR_MS, device_id=None))
        return checkout.decisions()[-1].action

    assert asked(1, 5_000) == "approve"
    checkout.send(credit_limit(10_000), topic="accounts")
    assert asked(2, 6_000) == "block"
    assert asked(3, 5_000) == "approve"
    assert asked(4, 1) == "block"
    checkout.send(repayment(1, 100), topic="repayments")
    checkout.send(repayment(1, 100), topic="repayments")
    assert asked(5, 701) == "block"
    assert asked(6, 700) == "approve"


def test_a_purchase_without_a_device_makes_no_hop_and_its_device_features_are_unknown() -> None:
    checkout = Checkout()
    checkout.send(purchase(1, device_id=None))
    assert not checkout.line.written["sightings"]
    assert checkout.decisions()[0].features["count(device_id, 1h)"] is None


def test_the_senders_headers_reach_the_decision() -> None:
    checkout = Checkout()
    checkout.line.send("purchases", b"a-1", orjson.dumps(purchase(1)), START_MS + 1, (("reply-to", b"gateway-7"),))
    (decision,) = checkout.line.written["decisions"]
    assert decision.headers == (("reply-to", b"gateway-7"), ("received-ms", str(START_MS + 1).encode()))


ACCOUNT_RULES = """
ruleset: checkout
currency: CNY
rules:
  - {id: burst, when: "count(account_id, 10m) > 2", then: block}
  - {id: credit, when: amount > available_credit, then: block, final: true}
"""


def incoming(key: bytes | None, value: object, headers: Headers = ()) -> Output:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return Output("purchases", key, raw, headers, START_MS + 24 * HOUR_MS)


def test_purchases_that_need_no_station_travel_in_bundles_and_are_decided_as_if_alone() -> None:
    ruleset = compile_ruleset(ACCOUNT_RULES)
    bundled, alone = MemoryLine(ruleset, partitions=2), MemoryLine(ruleset, partitions=2)
    run = [
        incoming(f"a-{number % 3}".encode(), purchase(number, account_id=f"a-{number % 3}"), (("n", b"%d" % number),))
        for number in range(30)
    ]
    bundled.send_run(run)
    for record in run:
        alone.send_run([record])
    assert len(bundled.written["assessments"]) == 2
    assert len(alone.written["assessments"]) == 30

    def by_account(line: MemoryLine) -> list[Output]:
        return sorted(line.written["decisions"], key=lambda output: output.key or b"")

    assert by_account(bundled) == by_account(alone)
    assert {len(decode_decision(output.value or b"").reasons) for output in by_account(bundled)} == {0, 1}


def test_in_a_bundle_what_cannot_be_used_is_a_dead_letter_and_a_strange_key_is_sent_on() -> None:
    line = MemoryLine(compile_ruleset(ACCOUNT_RULES), partitions=2)
    line.send_run(
        [
            incoming(b"a-1", b"not json", (("h", b"1"),)),
            incoming(b"shop-7", purchase(1)),
            incoming(None, purchase(2)),
            incoming(b"a-1", purchase(3, event_time=START_MS + 25 * HOUR_MS)),
            incoming(b"a-1", purchase(4)),
            incoming(b"other", purchase(4, amount=5)),
        ]
    )
    letters = {
        (output.key, output.value): dict(output.headers)["dlq-reason"] for output in line.written["purchases.dlq"]
    }
    assert letters == {
        (b"a-1", b"not json"): b"malformed",
        (b"a-1", orjson.dumps(purchase(3, event_time=START_MS + 25 * HOUR_MS))): b"future",
        (b"other", orjson.dumps(purchase(4, amount=5))): b"conflict",
    }
    decided = [decode_decision(output.value or b"") for output in line.written["decisions"]]
    assert sorted(decision.transaction_id for decision in decided) == ["t-1", "t-2", "t-4"]
    # Those that are sent on arrive later; each counts what is before it in time.
    assert sorted(decision.features["count(account_id, 10m)"] or 0 for decision in decided) == [1, 1, 2]


def test_a_bundle_grows_no_larger_than_a_record_should() -> None:
    line = MemoryLine(compile_ruleset(ACCOUNT_RULES), partitions=1)
    line.send_run([incoming(b"a-1", purchase(n, attributes={"note": "x" * 60_000})) for n in range(10)])
    assert max(len(output.value or b"") for output in line.written["assessments"]) < 100_000
    assert len(line.written["decisions"]) == 10


def test_sums_that_outgrow_64_bits_are_decided_on_all_the_same() -> None:
    rules = 'ruleset: checkout\nrules:\n  - {id: sum, when: "sum(amount, account_id, 90d) > 1_000.00", then: flag}\n'
    line = MemoryLine(compile_ruleset(rules + "rates: {USD: 999}\n"), partitions=1)
    for number in range(12):
        line.send_run([incoming(b"a-1", purchase(number, amount=10**15, currency="USD"))])
    decided = [decode_decision(output.value or b"") for output in line.written["decisions"]]
    assert [decision.features["sum(amount, account_id, 90d)"] for decision in decided[-3:]] == [2**63 - 1] * 3
    assert decided[0].features["sum(amount, account_id, 90d)"] == 999 * 10**15


@pytest.mark.parametrize("partitions", [1, 4])
def test_a_card_is_counted_within_its_account_however_many_partitions_there_are(partitions: int) -> None:
    rules = """
ruleset: checkout
rules:
  - {id: card, when: "count(card_id, 1h) > 9 or count((account_id, card_id), 1h) > 9", then: flag}
"""
    line = MemoryLine(compile_ruleset(rules), partitions)
    for number in range(9):
        account = f"a-{number % 3}"
        line.send_run([incoming(account.encode(), purchase(number, account_id=account, card_id="c-1"))])
    decided = [decode_decision(output.value or b"") for output in line.written["decisions"]]
    counts = [list(decision.features.values()) for decision in decided]
    assert counts == [[1 + number // 3] * 2 for number in range(9)]


def test_a_purchase_that_is_late_for_its_device_alone_is_marked_too() -> None:
    checkout = Checkout()
    checkout.send(purchase(1, account_id="a-2"), key=b"a-2")
    checkout.send(purchase(2, event_time=START_MS - 25 * HOUR_MS))
    checkout.send(purchase(3, event_time=START_MS - 25 * HOUR_MS, device_id="d-2"))
    assert [decision.late for decision in checkout.decisions()] == [False, True, False]
