"""Labels on their way: where they go, what they count for, and what they leave alone."""

from __future__ import annotations

import random

import orjson
import pytest

from models.decision import Decision, decode_decision
from rules.language.compile import compile_ruleset
from rules.route import LABEL, Origin, Route, with_route
from streams.engine.partitioner import partition_for
from tests.memory import MemoryLine

START_MS = 1_772_431_200_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
RULES = """
ruleset: checkout
currency: CNY
rates: {USD: 7}
allowed_lateness: 1h
max_rows: 32
rules:
  - {id: device, when: "count(device_id, 6h, fraud) > 3 and count(device_id, 1h) > 0", then: block}
  - {id: losses, when: "sum(amount, device_id, 6h, fraud) > 1_000.00", then: flag, mode: shadow}
  - {id: shop, when: "count(merchant_id, 1h) > 1_000", then: flag}
  - {id: account, when: "count((account_id, merchant_id), 6h, fraud) > 0", then: flag, mode: shadow}
  - {id: busy, when: "count(account_id, 1h) > 1_000", then: flag}
"""
DEVICE, LOSSES = "count(device_id, 6h, fraud)", "sum(amount, device_id, 6h, fraud)"
ACCOUNT = "count((account_id, merchant_id), 6h, fraud)"
AT_STATION = RULES.replace(
    'count((account_id, merchant_id), 6h, fraud) > 0"', 'count((account_id, merchant_id), 6h) > 0"'
)
AT_DESK = RULES.replace("6h, fraud) > 3", "6h) > 3").replace("device_id, 6h, fraud", "device_id, 6h")
NOWHERE = AT_DESK.replace("6h, fraud", "6h")


def purchase(number: int, **changes: object) -> dict[str, object]:
    return {
        "transaction_id": f"t-{number}",
        "account_id": "a-1",
        "amount": 1_000,
        "currency": "CNY",
        "event_time": START_MS + number * MINUTE_MS,
        "merchant_id": "m-1",
        "mcc": "5411",
        "device_id": "d-1",
        **changes,
    }


def label(of: dict[str, object], **changes: object) -> dict[str, object]:
    return {
        "transaction_id": of["transaction_id"],
        "account_id": of["account_id"],
        "verdict": "fraud",
        "event_time": START_MS + DAY_MS,
        "purchase": of,
        **changes,
    }


class Checkout:
    """One line and what came out of it."""

    def __init__(self, rules: str = RULES) -> None:
        self.line = MemoryLine(compile_ruleset(rules), partitions=2)

    def buy(self, bought: dict[str, object]) -> Decision:
        self._send("purchases", str(bought["account_id"]).encode(), orjson.dumps(bought))
        return decode_decision(self.line.written["decisions"][-1].value or b"")

    def tell(self, told: dict[str, object] | bytes, key: bytes = b"a-1") -> None:
        self._send("labels", key, told if isinstance(told, bytes) else orjson.dumps(told))

    def _send(self, topic: str, key: bytes, value: bytes) -> None:
        self.line.send(topic, key, value, START_MS + DAY_MS)

    def crash(self) -> None:
        for topic, partition in list(self.line.folds):
            self.line.crash(topic, partition)

    def passed(self) -> list[str]:
        """Where the line has sent anything: the keys of sightings, and of assessments."""
        outputs = [*self.line.written["sightings"], *self.line.written["assessments"]]
        return [(output.key or b"").decode() for output in outputs]


def test_a_label_counts_for_what_comes_after_it_at_every_account() -> None:
    checkout = Checkout()
    first = purchase(1)
    before = checkout.buy(first)
    checkout.tell(label(first))
    after, elsewhere = checkout.buy(purchase(2, account_id="a-2")), checkout.buy(purchase(3, device_id="d-2"))
    assert [d.features[DEVICE] for d in (before, after, elsewhere)] == [0, 1, 0]
    assert [d.features[LOSSES] for d in (before, after, elsewhere)] == [0, 1_000, 0]
    assert [d.features[ACCOUNT] for d in (before, after, elsewhere)] == [0, 0, 1]


@pytest.mark.parametrize("verdict", ["fraud", "chargeback"])
def test_a_purchase_counts_once_however_often_it_is_told_of(verdict: str) -> None:
    checkout = Checkout()
    first = purchase(1)
    checkout.buy(first)
    for _ in range(3):
        checkout.tell(label(first, verdict=verdict))
        checkout.crash()
    checkout.tell(label(first, verdict="genuine"))
    assert checkout.buy(purchase(2)).features[DEVICE] == 1


def test_a_label_before_its_purchase_counts_for_others_and_not_for_the_purchase() -> None:
    checkout = Checkout()
    first = purchase(1, amount=7)
    checkout.tell(label(first))
    decided = [checkout.buy(each) for each in (purchase(2), first, purchase(3), first)]
    assert [d.features[DEVICE] for d in decided] == [1, 0, 1, 0]
    assert [d.features[LOSSES] for d in decided] == [7, 0, 7, 0]
    # The purchase is new to all other counts, and is counted by them once.
    assert [d.features["count(device_id, 1h)"] for d in decided] == [1, 1, 3, 1]
    assert [d.features["count(account_id, 1h)"] for d in decided] == [1, 1, 3, 1]


def test_the_amount_of_a_label_is_in_the_rulesets_currency() -> None:
    checkout = Checkout()
    checkout.tell(label(purchase(1, currency="USD", amount=100)))
    assert checkout.buy(purchase(2)).features[LOSSES] == 700


@pytest.mark.parametrize(
    ("rules", "told", "way"),
    [
        (RULES, {}, ["device_id:d-1", "a-1"]),
        (AT_STATION, {}, ["device_id:d-1"]),
        (AT_DESK, {}, ["a-1"]),
        (NOWHERE, {}, []),
        (RULES, {"verdict": "genuine"}, []),
        (RULES, {"purchase": None}, []),
        (RULES, {"purchase": purchase(1, device_id=None)}, ["a-1"]),
        (AT_STATION, {"purchase": purchase(1, device_id=None)}, []),
    ],
)
def test_a_label_goes_past_those_entities_whose_fraud_is_counted(
    rules: str, told: dict[str, object], way: list[str]
) -> None:
    checkout = Checkout(rules)
    checkout.tell(label(purchase(1), **told))
    assert checkout.passed() == way
    assert not checkout.line.written["purchases.dlq"]
    assert not checkout.line.written["decisions"]


@pytest.mark.parametrize("rules", [RULES, NOWHERE])
@pytest.mark.parametrize(
    ("told", "reason", "detail"),
    [
        (b"not json", "malformed", "label: the record: is not valid JSON"),
        (label(purchase(1), verdict="theft"), "malformed", "label: verdict: 'theft' is not fraud"),
        (label(purchase(1), transaction_id="t-2"), "malformed", "label: purchase.transaction_id: 't-1' is not"),
        (label(purchase(1), event_time=START_MS + 2 * DAY_MS), "future", "event_time is 86400000 ms after"),
        (
            label(purchase(1, event_time=START_MS + 2 * DAY_MS)),
            "future",
            "purchase.event_time is 86400000 ms after",
        ),
        (label(purchase(1, attributes={"note": "x" * 70_000})), "oversized", "at most 65536 are read"),
    ],
)
def test_a_label_that_cannot_be_used_becomes_a_dead_letter(
    rules: str, told: dict[str, object] | bytes, reason: str, detail: str
) -> None:
    checkout = Checkout(rules)
    raw = told if isinstance(told, bytes) else orjson.dumps(told)
    checkout.tell(raw)
    (letter,) = checkout.line.written["purchases.dlq"]
    assert (letter.key, letter.value) == (b"a-1", raw)
    assert dict(letter.headers)["dlq-reason"] == reason.encode()
    assert detail in dict(letter.headers)["dlq-detail"].decode()
    assert dict(letter.headers)["dlq-source"].startswith(b"labels-")
    assert not checkout.passed()


@pytest.mark.parametrize(("rules", "letters"), [(RULES, 1), (NOWHERE, 0)])
def test_a_label_without_a_rate_is_refused_where_it_would_count(rules: str, letters: int) -> None:
    checkout = Checkout(rules)
    checkout.tell(label(purchase(1, currency="EUR")))
    assert [dict(o.headers)["dlq-reason"] for o in checkout.line.written["purchases.dlq"]] == [b"no-rate"] * letters


def test_a_label_under_another_key_reaches_the_desk_of_its_account() -> None:
    checkout = Checkout()
    checkout.tell(label(purchase(1)), key=b"case-17")
    assert checkout.buy(purchase(2, device_id=None)).features[ACCOUNT] == 1


@pytest.mark.parametrize("topic", ["sightings", "assessments"])
@pytest.mark.parametrize("told", [b"{", orjson.dumps(label(purchase(1), purchase=None))])
def test_a_foreign_label_on_an_internal_topic_is_a_dead_letter(topic: str, told: bytes) -> None:
    checkout = Checkout()
    reference = f"checkout@{compile_ruleset(RULES).version}"
    route = Route(LABEL, reference, Origin("labels", 0, 0, START_MS), None, has_account_key=True)
    stops = ("device_id:d-1",) if topic == "sightings" else ()
    headers = with_route((), route._replace(stops=stops))
    checkout.line.send(topic, b"a-1", told, START_MS, headers)
    # A stop that the ruleset does not have.
    elsewhere = with_route((), route._replace(stops=("ip:10.0.0.1",)))
    checkout.line.send("sightings", b"ip:10.0.0.1", orjson.dumps(label(purchase(1))), START_MS, elsewhere)
    letters = checkout.line.written["purchases.dlq"]
    assert [dict(letter.headers)["dlq-reason"] for letter in letters] == [b"foreign"] * 2


@pytest.mark.parametrize("crash", [False, True])
def test_a_label_makes_no_purchase_late(crash: bool) -> None:
    checkout = Checkout()
    checkout.buy(purchase(1))
    checkout.tell(label(purchase(2, event_time=START_MS + 20 * HOUR_MS)))
    if crash:
        checkout.crash()
    assert not checkout.buy(purchase(3)).late
    assert not checkout.buy(purchase(4, device_id=None)).late


def test_a_label_of_a_purchase_ahead_does_not_push_out_what_windows_still_hold() -> None:
    checkout = Checkout()
    # More than a chunk, which is what a log lets go of at once.
    for number in range(20):
        checkout.tell(label(purchase(number)))
    checkout.tell(label(purchase(20, event_time=START_MS + 20 * HOUR_MS)))
    assert checkout.buy(purchase(21)).features[DEVICE] == 20


def test_a_label_that_comes_after_every_window_leaves_no_state() -> None:
    checkout = Checkout(AT_STATION)
    # The partition has come this far by what another device bought there.
    partition = partition_for(b"device_id:d-1", 2)
    other = next(f"d-{n}" for n in range(2, 99) if partition_for(b"device_id:d-%d" % n, 2) == partition)
    checkout.buy(purchase(1, device_id=other, event_time=START_MS + 7 * HOUR_MS))
    before = dict(checkout.line.state["sightings", partition])
    checkout.tell(label(purchase(2, event_time=START_MS)))
    assert checkout.line.state["sightings", partition] == before
    checkout.tell(label(purchase(2, event_time=START_MS + 1)))
    assert checkout.line.state["sightings", partition] != before


def test_an_entity_that_is_known_by_a_label_alone_is_forgotten_when_no_window_reaches_it() -> None:
    checkout = Checkout()
    checkout.tell(label(purchase(1)))
    keys = {key for state in checkout.line.state.values() for key in state}
    assert {key[:2] for key in keys} == {b"Lf"}
    checkout.crash()
    # The grace of a day, the lateness and the window have passed in both partitions.
    for number in range(2, 20):
        later = purchase(number, account_id=f"a-{number}", device_id=f"d-{number}", event_time=START_MS + 32 * HOUR_MS)
        checkout.line.send("purchases", b"k", orjson.dumps(later), START_MS + 32 * HOUR_MS)
    left = {key for state in checkout.line.state.values() for key in state}
    assert not [key for key in left if key[:2] == b"Lf"]


def test_labels_past_the_bound_merge_and_still_count_once() -> None:
    checkout = Checkout()
    told = [purchase(number, device_id="d-1", account_id=f"a-{number}") for number in range(40)]
    for each in told:
        checkout.tell(label(each))
    checkout.crash()
    for each in told:
        checkout.tell(label(each))
    decided = checkout.buy(purchase(50, account_id="a-50"))
    assert decided.features[DEVICE] == 40
    # What merged away is still a purchase that nobody has decided on.
    assert checkout.buy(told[0]).features["count(device_id, 1h)"] == 1
    assert checkout.buy(purchase(51, account_id="a-51")).features["count(device_id, 1h)"] == 3


def test_a_limit_on_fraud_clears_when_the_fraud_has_left_the_window() -> None:
    checkout = Checkout()
    for number in range(5):
        checkout.tell(label(purchase(number)))
    (reason,) = checkout.buy(purchase(10)).reasons
    assert (reason.feature, reason.observed, reason.threshold) == (DEVICE, 5, 3)
    # Three may stay: the second oldest of the five has to leave.
    assert reason.clears_at == START_MS + MINUTE_MS + 6 * HOUR_MS


@pytest.mark.parametrize("seed", range(4))
def test_folds_read_back_between_labels_keep_the_same_state(seed: int) -> None:
    """Days pass, so that logs expire and entities are forgotten; whatever is left must not depend on crashes."""
    rng = random.Random(seed)
    steady, shaken = MemoryLine(compile_ruleset(RULES)), MemoryLine(compile_ruleset(RULES))
    bought: list[dict[str, object]] = []
    now_ms = START_MS
    for number in range(600):
        now_ms += int(rng.expovariate(1 / (5 * MINUTE_MS))) + (30 * HOUR_MS if rng.random() < 0.02 else 0)
        if bought and rng.random() < 0.5:
            of = rng.choice(bought[-30:]) if rng.random() < 0.8 else _purchase_of(rng, number, now_ms)
            record = ("labels", label(of, event_time=now_ms, verdict=rng.choice(["fraud", "chargeback", "genuine"])))
        else:
            bought.append(_purchase_of(rng, number, now_ms))
            record = ("purchases", bought[-1])
        for line in (steady, shaken):
            line.send(record[0], str(record[1]["account_id"]).encode(), orjson.dumps(record[1]), now_ms + HOUR_MS)
        if rng.random() < 0.2:
            shaken.crash(rng.choice(["sightings", "assessments"]), rng.randrange(4))
    assert shaken.written["decisions"] == steady.written["decisions"]
    decided = [decode_decision(output.value or b"") for output in steady.written["decisions"]]
    assert max(d.features[DEVICE] or 0 for d in decided) > 2
    assert {at: state for at, state in shaken.state.items() if state} == {
        at: state for at, state in steady.state.items() if state
    }


def _purchase_of(rng: random.Random, number: int, now_ms: int) -> dict[str, object]:
    at_ms = now_ms - (rng.randrange(HOUR_MS) if rng.random() < 0.2 else 0)
    device = rng.choice([None, "d-1", "d-2", f"d-{rng.randrange(30)}"])
    return purchase(number, account_id=f"a-{rng.randrange(5)}", device_id=device, event_time=at_ms)
