"""The whole line in memory, with gateways beside it: their degraded answers are held against its decisions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from models.decision import Decision, decode_decision, encode_decision
from models.purchase import decode_purchase
from models.reconciliation import decode_reconciliation
from rules.degraded import BREAKER_OPEN, DEADLINE, DegradedAnswers, parse_bands
from rules.language.compile import compile_ruleset
from streams.simulate import SimulationConfig, simulate
from tests.integration.ledger import hold_reconciliations
from tests.memory import MemoryLine

ROOT = Path(__file__).resolve().parents[2]
START_MS = 1_772_431_200_000
RULES = """
ruleset: checkout
rules:
  - {id: burst, when: "count(account_id, 10m) > 2", then: block}
  - {id: device, when: "count(device_id, 1h) > 3", then: flag}
  - {id: large, when: amount > 90.00, then: flag}
"""
GATEWAYS = ("approve<3000,flag<9000,block", "approve<12000,flag")


class Sent(NamedTuple):
    topic: str
    key: bytes
    value: bytes
    at_ms: int


def answer(raw: bytes, bands: str, cause: str, rules: str = RULES) -> Decision:
    gateway = DegradedAnswers(parse_bands(bands))
    gateway.use(compile_ruleset(rules))
    return gateway.answer(decode_purchase(raw), cause)


def traffic(rng: random.Random, rules: str) -> list[Sent]:
    """Purchases and degraded answers: before, after and without the purchase, by one gateway or two, repeated."""
    compiled = compile_ruleset(rules)
    gateways = [DegradedAnswers(parse_bands(bands)) for bands in GATEWAYS]
    for gateway in gateways:
        gateway.use(compiled)
    timed: list[tuple[float, Sent]] = []
    for number, event in enumerate(simulate(SimulationConfig(7, 40, 1_200, START_MS, 6 * 3600.0)).events):
        if event.topic == "labels":
            continue
        sent = Sent(event.topic, event.key.encode(), orjson.dumps(event.value), event.at_ms)
        if event.topic != "purchases" or rng.random() < 0.95:
            timed.append((number, sent))
        for gateway in rng.sample(gateways, rng.choice([0, 1, 2])) if event.topic == "purchases" else ():
            told = gateway.answer(decode_purchase(sent.value), rng.choice([DEADLINE, BREAKER_OPEN]))
            told_sent = Sent("decisions.degraded", sent.key, encode_decision(told), event.at_ms)
            timed += [(number + rng.gauss(0, 30), told_sent) for _ in range(rng.choice([1, 1, 2]))]
    return [sent for _, sent in sorted(timed, key=lambda each: each[0])]


def reconciled(line: MemoryLine) -> int:
    return hold_reconciliations(
        line.written["decisions.degraded"], line.written["decisions"], line.written["reconciliations"]
    )


@pytest.mark.parametrize("name", ["account-only", "checkout"])
def test_folds_read_back_at_any_moment_reconcile_the_same_bytes(name: str) -> None:
    rules, rng = (ROOT / "examples" / "rules" / f"{name}.yaml").read_text(), random.Random(3)
    steady, shaken = MemoryLine(compile_ruleset(rules)), MemoryLine(compile_ruleset(rules))
    for sent in traffic(rng, rules):
        for line in (steady, shaken):
            line.send(*sent)
        if rng.random() < 0.03:
            shaken.crash(rng.choice(["sightings", "assessments"]), rng.randrange(4))
    assert not steady.written["purchases.dlq"]
    assert shaken.written["reconciliations"] == steady.written["reconciliations"]
    assert shaken.written["decisions"] == steady.written["decisions"]
    assert {at: state for at, state in shaken.state.items() if state} == {
        at: state for at, state in steady.state.items() if state
    }
    assert reconciled(steady) == 0
    read = [decode_reconciliation(output.value or b"") for output in steady.written["reconciliations"]]
    assert {each.differs for each in read} == {True, False}


class Checkout:
    """A line whose purchases may be answered by a gateway as well."""

    def __init__(self) -> None:
        self.line = MemoryLine(compile_ruleset(RULES), partitions=2)

    def purchase(self, amount: int = 500, number: int = 1) -> bytes:
        fields = {
            "transaction_id": f"t-{number}",
            "account_id": "a-1",
            "amount": amount,
            "currency": "CNY",
            "event_time": START_MS + number,
            "merchant_id": "m-1",
            "mcc": "5411",
        }
        return orjson.dumps(fields)

    def buy(self, raw: bytes) -> None:
        self.line.send("purchases", b"a-1", raw, START_MS + 60_000)

    def tell(self, told: Decision | bytes, key: bytes | None = b"a-1") -> None:
        raw = told if isinstance(told, bytes) else encode_decision(told)
        self.line.send("decisions.degraded", key, raw, START_MS + 60_000)


def test_a_reconciliation_lies_right_behind_its_decision() -> None:
    checkout = Checkout()
    checkout.tell(answer(checkout.purchase(), "block", DEADLINE))
    assert "reconciliations" not in checkout.line.written
    checkout.buy(checkout.purchase())
    # By the first record on each topic.
    assert list(checkout.line.written)[-2:] == ["decisions", "reconciliations"]


def test_an_answer_under_no_key_finds_its_account() -> None:
    checkout = Checkout()
    checkout.tell(answer(checkout.purchase(), "block", DEADLINE), key=None)
    checkout.buy(checkout.purchase())
    assert reconciled(checkout.line) == 0
    assert len(checkout.line.written["reconciliations"]) == 1


def test_an_answer_to_another_body_is_reconciled_with_what_its_transaction_was_given() -> None:
    checkout = Checkout()
    checkout.tell(answer(checkout.purchase(amount=20_000), "approve", DEADLINE))
    checkout.buy(checkout.purchase(amount=500))
    checkout.buy(checkout.purchase(amount=20_000))
    assert [dict(letter.headers)["dlq-reason"] for letter in checkout.line.written["purchases.dlq"]] == [b"conflict"]
    (output,) = checkout.line.written["reconciliations"]
    reconciliation = decode_reconciliation(output.value or b"")
    assert (reconciliation.answered, reconciliation.decided, reconciliation.amount) == ("flag", "approve", 500)


def test_a_purchase_sent_again_is_reconciled_no_second_time() -> None:
    checkout = Checkout()
    checkout.tell(answer(checkout.purchase(), "block", DEADLINE))
    checkout.buy(checkout.purchase())
    checkout.buy(checkout.purchase())
    assert len(checkout.line.written["decisions"]) == 2
    assert len(checkout.line.written["reconciliations"]) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"degraded": []}, "malformed"),
        ({"degraded": ["default"]}, "malformed"),
        ({"account_id": ""}, "malformed"),
        ({"event_time": START_MS + 24 * 3_600_000}, "future"),
        ({"colour": "red"}, "malformed"),
    ],
)
def test_what_is_no_degraded_answer_becomes_a_dead_letter(changes: dict[str, object], reason: str) -> None:
    checkout = Checkout()
    told = encode_decision(answer(checkout.purchase(), "block", DEADLINE))
    raw = orjson.dumps({**orjson.loads(told), **changes})
    checkout.tell(raw)
    (letter,) = checkout.line.written["purchases.dlq"]
    assert (letter.value, dict(letter.headers)["dlq-reason"].decode()) == (raw, reason)
    checkout.buy(checkout.purchase())
    assert not checkout.line.written["reconciliations"]


# -- the check itself ----------------------------------------------------------------------------------


def test_the_check_misses_a_reconciliation_that_is_not_there_and_one_that_is_wrong() -> None:
    checkout = Checkout()
    told = answer(checkout.purchase(), "block", DEADLINE)
    checkout.tell(told)
    checkout.buy(checkout.purchase())
    degraded, decisions = checkout.line.written["decisions.degraded"], checkout.line.written["decisions"]
    (right,) = checkout.line.written["reconciliations"]
    wrong = right._replace(value=(right.value or b"").replace(b'"differs":true', b'"differs":false'))
    assert hold_reconciliations(degraded, decisions, [right, right]) == 1
    for written in ([], [wrong], [right, wrong]):
        with pytest.raises(AssertionError):
            hold_reconciliations(degraded, decisions, written)
    with pytest.raises(AssertionError):
        hold_reconciliations(degraded, [], [right])
    assert decode_decision(decisions[0].value or b"").action != told.action
