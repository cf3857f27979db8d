"""The line in one fold: byte for byte what the partitioned steps decide, in the order of event times."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.account import decode_credit_limit, decode_repayment
from models.decision import encode_decision
from models.label import decode_label
from models.purchase import Purchase, decode_purchase
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.line import Line
from streams.engine.partitioner import partition_for
from tests.integration.shopping import ACCOUNT_RULES, LABEL_RULES, RULES, START_MS, Sent, shopping
from tests.memory import MemoryLine
from tests.rules.language.generated import RuleFileText, rule_files

PARTITIONS = 3
# What purchases of a partition have in common: the habits of all its accounts.
HABITS = """
ruleset: checkout
currency: CNY
rates: {USD: 7.1}
rules:
  - {id: unusual, when: "anomaly > 0.7", then: flag}
  - {id: flagged-often, when: "count(account_id, 24h, approved) > 3 and anomaly > 0.5", then: block}
"""
# Logs so short that rows merge, and are remembered.
MERGING = LABEL_RULES.replace("max_rows: 4096", "max_rows: 32")


def partition_of(key: bytes) -> int:
    return partition_for(key, PARTITIONS)


def by_partitions(ruleset: CompiledRuleset, sent: list[Sent]) -> dict[str, bytes]:
    """Each transaction's decision, as the partitioned steps make it."""
    line = MemoryLine(ruleset, PARTITIONS)
    for one in sent:
        line.send(one.topic, one.key, one.value, START_MS + 365 * 86_400_000)
    assert not line.written["purchases.dlq"]
    return {
        orjson.loads(output.value or b"")["transaction_id"]: output.value or b"" for output in line.written["decisions"]
    }


def in_one_fold(ruleset: CompiledRuleset, sent: list[Sent]) -> dict[str, bytes]:
    line, decided = Line(ruleset, partition_of), dict[str, bytes]()
    for one in sent:
        if one.topic == "accounts":
            assert line.credit_limit(decode_credit_limit(one.value))
        elif one.topic == "repayments":
            assert line.repayment(decode_repayment(one.value))
        elif one.topic == "labels":
            label = decode_label(one.value)
            if label.says_fraud and label.purchase is not None:
                line.fraud(label.purchase)
        else:
            decision = line.take(decode_purchase(one.value))
            assert decision is not None
            decided[decision.transaction_id] = encode_decision(decision)
    return decided


@pytest.mark.parametrize(
    "rules", [RULES, ACCOUNT_RULES, HABITS, LABEL_RULES, MERGING], ids=["all", "account", "habits", "labels", "merging"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_shopping_is_decided_as_by_the_partitioned_steps(rules: str, seed: int) -> None:
    ruleset = compile_ruleset(rules)
    sent = shopping(seed, 1_500, accounts=40, hours=30.0, labels=True)
    expected = by_partitions(ruleset, sent)
    assert in_one_fold(ruleset, sent) == expected
    assert len({orjson.loads(decision)["action"] for decision in expected.values()}) > 1


def test_a_long_run_keeps_no_more_than_a_settled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ruleset = compile_ruleset(MERGING)
    sent = shopping(3, 800, accounts=10, hours=60.0, labels=True)
    expected = in_one_fold(ruleset, sent)
    monkeypatch.setattr("rules.line._SETTLE_PURCHASES", 7)
    assert in_one_fold(ruleset, sent) == expected


EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "topic": st.sampled_from(["purchases"] * 6 + ["accounts", "repayments"]),
            "account_id": st.sampled_from(["a-1", "a-2", "a-3", "a-4"]),
            "amount": st.sampled_from([1, 2, 1_000, 5_000, 30_000]),
            "currency": st.sampled_from(["CNY", "USD"]),
            "after_ms": st.sampled_from([0, 1, 1_000, 59_000, 600_000, 3_600_000, 90_000_000]),
            "merchant_id": st.sampled_from(["m-1", "m-2"]),
            "card_id": st.sampled_from([None, "c-1", "c-2"]),
            "device_id": st.sampled_from([None, "d-1", "d-2"]),
            "ip": st.sampled_from([None, "203.0.113.7"]),
        }
    ),
    max_size=40,
)


def sent_of(events: list[dict[str, object]]) -> list[Sent]:
    sent: list[Sent] = []
    time_ms = START_MS
    for number, event in enumerate(events):
        time_ms += int(str(event["after_ms"]))
        account_id = str(event["account_id"])
        money = {"account_id": account_id, "currency": event["currency"], "event_time": time_ms}
        match event["topic"]:
            case "accounts":
                value = {**money, "credit_limit": event["amount"]}
            case "repayments":
                value = {**money, "amount": event["amount"], "repayment_id": f"r-{number}"}
            case _:
                value = {
                    **money, "amount": event["amount"], "transaction_id": f"t-{number}", "mcc": "5411",
                    **{name: event[name] for name in ("merchant_id", "card_id", "device_id", "ip")},
                }  # fmt: skip
        sent.append(Sent(str(event["topic"]), account_id.encode(), orjson.dumps(value)))
    return sent


@settings(max_examples=60, deadline=None)
@given(file=rule_files(), events=EVENTS)
def test_any_rules_decide_on_anything_as_by_the_partitioned_steps(
    file: RuleFileText, events: list[dict[str, object]]
) -> None:
    ruleset = file.compiled
    sent = sent_of(events)
    line = MemoryLine(ruleset, PARTITIONS)
    alone = Line(ruleset, partition_of)
    for one in sent:
        before = len(line.written["decisions"])
        line.send(one.topic, one.key, one.value, START_MS + 365 * 86_400_000)
        announced = [output.value for output in line.written["decisions"][before:]]
        if one.topic == "accounts":
            alone.credit_limit(decode_credit_limit(one.value))
        elif one.topic == "repayments":
            alone.repayment(decode_repayment(one.value))
        else:
            decision = alone.take(decode_purchase(one.value))
            assert announced == ([encode_decision(decision)] if decision is not None else [])


def test_a_purchase_without_a_rate_is_not_decided_and_counts_nowhere() -> None:
    ruleset = compile_ruleset("ruleset: r\nrules: [{id: twice, when: 'count(account_id, 1h) > 1', then: block}]")
    line = Line(ruleset, partition_of)
    base = {
        "account_id": "a-1", "amount": 1, "event_time": START_MS, "merchant_id": "m-1", "mcc": "5411",
    }  # fmt: skip
    assert line.take(Purchase(transaction_id="t-1", currency="USD", **base)) is None  # pyright: ignore[reportArgumentType]  # one dict for several types
    decision = line.take(Purchase(transaction_id="t-2", currency="CNY", **base))  # pyright: ignore[reportArgumentType]  # as above
    assert decision is not None
    assert decision.features == {"count(account_id, 1h)": 1}


def test_credit_in_a_currency_without_a_rate_has_no_effect() -> None:
    ruleset = compile_ruleset("ruleset: r\nrules: [{id: over, when: amount > available_credit, then: block}]")
    line = Line(ruleset, partition_of)
    money = {"account_id": "a-1", "currency": "USD", "event_time": START_MS}
    assert not line.credit_limit(decode_credit_limit(orjson.dumps({**money, "credit_limit": 0})))
    assert not line.repayment(decode_repayment(orjson.dumps({**money, "amount": 5, "repayment_id": "r-1"})))
