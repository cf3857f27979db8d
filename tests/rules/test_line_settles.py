"""Settlements on the whole line: what they come to, and what it does to the decisions after them, as an oracle says."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import orjson
import pytest

from models.decision import decode_decision
from models.settlement import decode_settlement_result, encode_settlement_result
from rules.language.compile import CompiledRuleset, compile_ruleset
from tests.integration.shopping import START_MS, Sent
from tests.line_oracle import LineOracle, in_event_order
from tests.memory import MemoryLine

DAY_MS = 86_400_000
FAR_MS = START_MS + 400 * DAY_MS
RULES = """
ruleset: checkout
currency: CNY
rates: {USD: 7.15, JPY: 0.047}
max_rows: 4096
rules:
  - {id: credit, when: amount > available_credit, then: block, final: true}
  - {id: many, when: "count(account_id, 2h, approved) > 5", then: block}
  - {id: declined, when: "count(account_id, 6h, declined) > 1", then: flag}
  - {id: all, when: "sum(amount, account_id, 3h) > 500.00 and count(account_id, 3h) > 3", then: flag}
  - {id: shops, when: "distinct(merchant_id, account_id, 1d, approved) >= 3", then: flag}
  - {id: at-shop, when: "sum(amount, (account_id, merchant_id), 1d, approved) > 300.00", then: block}
  - {id: card, when: "max(amount, card_id, 1d) > 200.00 and since(account_id) < 20d", then: flag, mode: shadow}
  - {id: old, when: "age(account_id) > 1h and avg(amount, account_id, this_week, approved) > 1.00", then: flag}
  - {id: shop-age, when: "age((account_id, merchant_id)) > 2h", then: flag, mode: shadow}
"""
NEVER, SOON, LATER = (
    compile_ruleset(RULES + expiry)
    for expiry in ("", "reservations: {expire_after: 2h}\n", "reservations: {expire_after: 3d}\n")
)


def settle(rng: random.Random, purchase: dict[str, Any], time_ms: int, number: int) -> dict[str, Any]:
    """A settlement of a purchase that may make sense."""
    kind = rng.choice(["capture", "capture", "capture", "void", "refund", "refund"])
    value = {
        "transaction_id": purchase["transaction_id"],
        "account_id": purchase["account_id"],
        "kind": kind,
        "event_time": time_ms,
    }
    if kind == "refund":
        value["refund_id"] = f"r-{rng.randrange(3)}"
    if kind != "void" and rng.random() < 0.6:
        share = rng.choice([1, 1, 2, 3]) if kind == "capture" else rng.choice([1, 2, 3, 4])
        value |= {"amount": max(1, purchase["amount"] // share), "currency": purchase["currency"]}
        if rng.random() < 0.1:
            value["currency"] = rng.choice(["JPY", "JPY", "KRW"])
    return value


def stream(seed: int, length: int, *, pause_ms: int) -> list[Sent]:
    """Purchases and what becomes of them: mostly soon after, some before, some twice, some of what never was."""
    rng = random.Random(seed)
    sent: list[Sent] = []
    bought: list[dict[str, Any]] = []
    time_ms = START_MS
    for account in range(3):
        limit: dict[str, Any] = {
            "account_id": f"a-{account}",
            "credit_limit": 150_000,
            "currency": "CNY",
            "event_time": time_ms,
        }
        sent.append(Sent("accounts", limit["account_id"].encode(), orjson.dumps(limit)))
    for number in range(length):
        time_ms += rng.choice([0, 1, pause_ms // 50, pause_ms])
        if bought and rng.random() < 0.65:
            value, topic = settle(rng, rng.choice(bought[-4:]), time_ms, number), "settlements"
        else:
            value, topic = _purchase(rng, number, time_ms), "purchases"
            bought.append(value)
            if rng.random() < 0.2:
                sent.append(_answer(value, rng.choice(["approve", "flag", "block"])))
            if rng.random() < 0.1:
                early = settle(rng, value, time_ms, number)
                sent.append(Sent("settlements", value["account_id"].encode(), orjson.dumps(early)))
        sent.append(Sent(topic, value["account_id"].encode(), orjson.dumps(value)))
        if topic == "settlements" and rng.random() < 0.2:
            sent.append(sent[-1])
        if bought and rng.random() < 0.03:
            sent.append(_answer(rng.choice(bought[-6:]), "approve"))
    return sent


def _answer(purchase: dict[str, Any], action: str) -> Sent:
    """What a gateway says by itself."""
    answer: dict[str, Any] = {
        **{name: purchase[name] for name in ("transaction_id", "account_id", "amount", "currency", "event_time")},
        "action": action, "reasons": [], "shadow": [], "anomaly": None, "contributions": [], "features": {},
        "ruleset": "", "ruleset_version": "", "late": False, "degraded": ["default", "deadline"],
    }  # fmt: skip
    return Sent("decisions.degraded", purchase["account_id"].encode(), orjson.dumps(answer))


def _purchase(rng: random.Random, number: int, time_ms: int) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "account_id": f"a-{rng.randrange(3)}",
        "amount": rng.choice([1, 3, 100, 5_000, 9_999, 20_000]),
        "currency": rng.choice(["CNY", "CNY", "CNY", "USD"]),
        "event_time": time_ms - rng.choice([0, 0, 0, 0, 3_600_000]),
        "merchant_id": f"m-{rng.randrange(4)}",
        "mcc": "5411",
        "card_id": rng.choice([None, "c-1", "c-2"]),
    }


def hold(compiled: CompiledRuleset, sent: list[Sent], partitions: int, seed: int, crashes: float) -> Counter[str]:
    """Decisions and results are the oracle's, whatever is read back on the way; returns what the results were."""
    line, rng = MemoryLine(compiled, partitions), random.Random(seed)
    for one in sent:
        line.send(one.topic, one.key, one.value, FAR_MS)
        if rng.random() < crashes:
            line.crash("assessments", rng.randrange(partitions))
    oracle = LineOracle(compiled)
    desk_of = {account: line.partition_of(account.encode()) for account in ("a-0", "a-1", "a-2")}
    expected = [decision for _, decision in in_event_order(oracle, [one.event() for one in sent], desk_of.__getitem__)]
    assert not line.written["purchases.dlq"]
    decided = [decode_decision(output.value or b"") for output in line.written["decisions"]]
    results = [output.value or b"" for output in line.written["settlements.results"]]
    wanted = Counter(encode_settlement_result(result) for result in oracle.results)
    assert Counter(results) == wanted
    for decision, wanted_decision in zip(decided, expected, strict=True):
        assert decision == wanted_decision
    told = [decode_settlement_result(result) for result in results]
    return Counter(f"{result.kind} {result.status} {result.code or result.state}" for result in told)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("compiled", [NEVER, SOON, LATER], ids=["never", "soon", "later"])
@pytest.mark.parametrize("pause_ms", [60_000, 3_600_000, DAY_MS // 2])
def test_settlements_come_to_what_the_oracle_says(compiled: CompiledRuleset, seed: int, pause_ms: int) -> None:
    came = hold(compiled, stream(seed, 250, pause_ms=pause_ms), 1 + seed % 2, seed, 0.05)
    assert came["capture applied captured"]
    assert came["void applied voided"]


def test_every_result_comes_about() -> None:
    came: set[str] = set()
    for seed in range(10, 20):
        came |= set(hold(SOON, stream(seed, 300, pause_ms=1_200_000), 1, seed, 0.0))
    assert came >= {
        "capture applied captured",
        "capture applied refunded",
        "capture waiting None",
        "capture refused already_captured",
        "capture refused already_voided",
        "capture refused already_expired",
        "capture refused not_approved",
        "capture waiting declined",
        "capture refused exceeds_reserved",
        "capture refused no_rate",
        "void applied voided",
        "void waiting None",
        "void refused already_captured",
        "void refused already_expired",
        "void refused not_approved",
        "refund applied captured",
        "refund applied refunded",
        "refund waiting None",
        "refund refused not_captured",
        "refund refused not_approved",
        "refund refused exceeds_captured",
        "refund refused refund_id_used",
        "expire applied expired",
    }
