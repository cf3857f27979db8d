"""Streams of simulated shopping for the line, and the rules that they are judged by.

Beyond the simulation: some homes share a device, some purchases lack a field, some arrive long after their time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from models.account import CreditLimit, Repayment, decode_credit_limit, decode_repayment
from models.decision import Decision, decode_decision
from models.label import Label, decode_label
from models.purchase import Purchase, decode_purchase
from models.settlement import Settlement, decode_settlement
from rules.language.compile import CompiledRuleset, compile_ruleset
from streams.simulate import SimulationConfig, simulate

START_MS = 1_772_431_200_000
# Every kind of entity and aggregate, outcomes, credit, a final block, an allow and a rule on trial. What came
# within the allowed lateness is counted exactly: it is longer than a stream, of which one partition may be
# read to its end before another is begun. `since` and `age` look back far longer.
RULES = """
ruleset: checkout
currency: CNY
time_zone: Asia/Shanghai
rates: {USD: 7.1}
allowed_lateness: 12h
max_rows: 4096
lists:
  trusted: [m-1003, m-1004]
rules:
  - {id: over-credit, when: amount > available_credit, then: block, final: true}
  - {id: trusted, when: "merchant_id in @trusted and amount < 150.00 and count(account_id, 10m) <= 3", then: allow}
  - {id: account-burst, when: "count(account_id, 10m) > 4", then: block}
  - {id: account-day, when: "sum(amount, account_id, today, approved) > 9_000.00", then: flag}
  - {id: declined-before, when: "count(account_id, 1h, declined) >= 2", then: flag}
  - {id: unlike-before, when: "amount > avg(amount, account_id, 6h, approved) * 4 and age(account_id) > 1h", then: flag}
  - {id: largest-yet, when: "amount > max(amount, account_id, 24h, declined) and since(account_id) < 10m", then: flag}
  - {id: many-shops, when: "distinct(merchant_id, account_id, 1h) >= 6", then: flag}
  - {id: card-burst, when: "count(card_id, 5m) > 2 and min(amount, card_id, 1h) < 10.00", then: block}
  - {id: device-burst, when: "count(device_id, 10m) > 5", then: block}
  - id: device-farm
    when: >-
      distinct(account_id, device_id, 1h) >= 3 and sum(amount, device_id, 1h) > 900.00
    then: block
  - {id: new-device, when: "age(device_id) < 30m and amount > 800.00 and is_missing(since(device_id))", then: flag}
  - {id: ip-burst, when: "count(ip, 1m) > 2 or distinct(account_id, ip, 10m) > 3", then: flag}
  - {id: shop-rush, when: "sum(amount, merchant_id, 5m) > 12_000.00 or count(merchant_id, 1m) > 9", then: flag}
  - id: shop-amounts
    when: >-
      amount > avg(amount, merchant_id, 10m) * 3 and max(amount, merchant_id, 10m) > 1_500.00
      and since(merchant_id) < 5m
    then: flag
  - id: device-at-shop
    when: >-
      count((device_id, merchant_id), 30m) > 2 and since((device_id, merchant_id)) < 20m
    then: flag
  - {id: account-at-shop, when: "sum(amount, (account_id, merchant_id), 24h, approved) > 4_000.00", then: flag}
  - {id: on-trial, when: "count(ip, 10m) > 4 and hour < 18", then: block, mode: shadow}
"""

# Of the account and its cards alone: no purchase goes to a station.
ACCOUNT_RULES = """
ruleset: checkout
currency: CNY
time_zone: Asia/Shanghai
rates: {USD: 7.1}
allowed_lateness: 12h
max_rows: 4096
rules:
  - {id: over-credit, when: amount > available_credit, then: block, final: true}
  - {id: burst, when: "count(account_id, 10m) > 3", then: block}
  - {id: declined-before, when: "count(account_id, 1h, declined) >= 2", then: flag}
  - {id: day, when: "sum(amount, account_id, today, approved) > 6_000.00 and since(account_id) < 10m", then: flag}
  - {id: cards, when: "distinct(card_id, account_id, 1h) > 1 and count(card_id, 5m) > 1", then: flag}
  - {id: devices, when: "distinct(device_id, account_id, 6h) > 2", then: flag}
  - {id: at-shop, when: "sum(amount, (account_id, merchant_id), 24h, approved) > 4_000.00", then: flag}
"""

# With what labels say: at stations, at the desk, for tuples of both.
LABEL_RULES = (
    RULES
    + """
  - {id: shop-fraud, when: "count(merchant_id, 6h, fraud) * 10 > count(merchant_id, 6h)", then: flag}
  - {id: shop-losses, when: "sum(amount, merchant_id, 2h, fraud) > 2_000.00", then: flag}
  - {id: device-fraud, when: "count(device_id, 24h, fraud) > 0", then: block}
  - {id: ip-fraud, when: "distinct(account_id, ip, 3h, fraud) >= 1 and count(ip, today, fraud) >= 1", then: flag}
  - {id: account-fraud, when: "max(amount, account_id, 12h, fraud) > 50.00", then: flag, mode: shadow}
  - {id: card-fraud, when: "count(card_id, 1h, fraud) > 1", then: block}
  - {id: in-category, when: "amount > avg(amount, (mcc, channel), 4h, fraud) and hour < 20", then: flag, mode: shadow}
"""
)

# What nobody captures is let go.
EXPIRY = "reservations: {expire_after: 3h}\n"

Event = Purchase | CreditLimit | Repayment | Label | Settlement | Decision
_DECODERS = {
    "purchases": decode_purchase,
    "accounts": decode_credit_limit,
    "repayments": decode_repayment,
    "labels": decode_label,
    "settlements": decode_settlement,
    "decisions.degraded": decode_decision,
}
_SHARED_HOMES = 0.25
_LACKING = 0.02
# Labels: of genuine purchases, of those not bought yet, and of those told of before.
_CHECKED = 0.01
_TOLD_BEFORE = 0.1
_TOLD_TWICE = 0.2
# Of purchases, those that nobody settles; for the others, what happens to them: kinds, and the part that is asked for
# (0: no amount is said).
_NEVER_SETTLED = 0.4
_SETTLED_WITHIN_MS = 2 * 3_600_000
_LIVES: tuple[list[tuple[str, int]], ...] = (
    [("capture", 0)],
    [("capture", 1)],
    [("capture", 2), ("capture", 2)],
    [("capture", 1), ("refund", 3), ("refund", 2), ("refund", 0)],
    [("capture", 0), ("refund", 0)],
    [("capture", 2), ("void", 0)],
    [("void", 0)],
    [("void", 0), ("capture", 0)],
    [("refund", 0), ("capture", 0)],
)
# Of the purchases out of order, those that are later than the rules allow.
_TOO_LATE = 0.3
_TOO_LATE_MS = 13 * 3_600_000
_MOST_OUT_OF_ORDER_MS = 90 * 60_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as it is sent to the logical `topic`."""

    topic: str
    key: bytes
    value: bytes

    def event(self) -> Event:
        return _DECODERS[self.topic](self.value)


def ruleset(rules: str = RULES) -> CompiledRuleset:
    return compile_ruleset(rules, "the test's rules")


def shopping(
    seed: int,
    purchases: int,
    *,
    accounts: int,
    hours: float = 6.0,
    fraud_share: float = 0.08,
    disorder: float = 0.0,
    ends_ms: int | None = None,
    labels: bool = False,
    settlements: bool = False,
) -> list[Sent]:
    """Purchases, credit limits and repayments in the order in which they are sent; with `labels`, verdicts too.

    That is the order of their times, but for a share of `disorder`: these come up to an hour and a half after
    their time, or are dated half a day back. `ends_ms` is the time of the last.
    """
    simulated = simulate(SimulationConfig(seed, accounts, purchases, START_MS, hours * 3600, fraud_share))
    events = [event for event in simulated.events if event.topic != "labels"]
    rng = random.Random(seed)
    shift_ms = ends_ms - events[-1].at_ms if ends_ms is not None else 0
    shared = {home for home in range(accounts // 4 + 1) if rng.random() < _SHARED_HOMES}
    sent: list[tuple[int, Sent]] = []
    for event in events:
        value, sent_ms = dict(event.value), event.at_ms
        value["event_time"] += shift_ms
        if event.topic == "purchases":
            _alter(value, rng, shared)
            if rng.random() < disorder:
                sent_ms = _disorder(value, rng, sent_ms)
        sent.append((sent_ms, Sent(event.topic, event.key.encode(), orjson.dumps(value))))
    if labels:
        told_ms = {str(e.value["transaction_id"]): e.at_ms for e in simulated.events if e.topic == "labels"}
        sent += _labels(random.Random(seed), sent, told_ms, shift_ms)
    if settlements:
        sent += _settlements(random.Random(seed), sent, events[-1].at_ms, shift_ms)
    return [one for _, one in sorted(sent, key=lambda item: item[0])]


def _labels(
    rng: random.Random, sent: Sequence[tuple[int, Sent]], told_ms: dict[str, int], shift_ms: int
) -> list[tuple[int, Sent]]:
    """Verdicts when they are sent: mostly long after the purchase, some before, some twice, some without it."""
    labels: list[tuple[int, Sent]] = []
    for sent_ms, one in sent:
        if one.topic != "purchases":
            continue
        purchase = orjson.loads(one.value)
        if sent_ms + shift_ms - purchase["event_time"] > _MOST_OUT_OF_ORDER_MS:
            # Later than the rules allow: whether its label is in reach depends on what else has arrived by then.
            continue
        transaction_id, account_id = purchase["transaction_id"], purchase["account_id"]
        fraud = transaction_id in told_ms
        if not fraud and rng.random() > _CHECKED:
            continue
        verdict_ms = told_ms.get(transaction_id, 0)
        known_ms = sent_ms - 60_000 if rng.random() < _TOLD_BEFORE else max(sent_ms, verdict_ms)
        value = {
            "transaction_id": transaction_id,
            "account_id": account_id,
            "verdict": rng.choice(["fraud", "chargeback"]) if fraud else "genuine",
            "event_time": max(verdict_ms + shift_ms, purchase["event_time"]),
            "purchase": purchase if rng.random() > _LACKING else None,
        }
        label = Sent("labels", account_id.encode(), orjson.dumps(value))
        labels += [(known_ms + again * 600_000, label) for again in range(1 + (rng.random() < _TOLD_TWICE))]
    return labels


def _settlements(
    rng: random.Random, sent: Sequence[tuple[int, Sent]], last_ms: int, shift_ms: int
) -> list[tuple[int, Sent]]:
    """What becomes of most purchases within some hours: captured, refunded after that, or voided; some too early."""
    settled: list[tuple[int, Sent]] = []
    for sent_ms, one in sent:
        if one.topic != "purchases" or rng.random() < _NEVER_SETTLED:
            continue
        purchase = orjson.loads(one.value)
        at_ms = sent_ms + rng.randint(1_000, _SETTLED_WITHIN_MS) * (-1 if rng.random() < _TOLD_BEFORE else 1)
        for kind, parts in rng.choice(_LIVES):
            value = {
                "transaction_id": purchase["transaction_id"],
                "account_id": purchase["account_id"],
                "kind": kind,
                "amount": max(1, purchase["amount"] // parts) if parts else None,
                "currency": purchase["currency"] if parts else None,
                "refund_id": f"r-{rng.randrange(1_000)}" if kind == "refund" else None,
                "event_time": min(at_ms, last_ms) + shift_ms,
            }
            record = Sent("settlements", one.key, orjson.dumps(value))
            settled += [(at_ms + again * 60_000, record) for again in range(1 + (rng.random() < _TOLD_TWICE))]
            at_ms += rng.randint(1_000, _SETTLED_WITHIN_MS)
    return settled


def _disorder(value: dict[str, Any], rng: random.Random, sent_ms: int) -> int:
    """Make a purchase come after its time; returns when it is sent."""
    if rng.random() >= _TOO_LATE:
        return sent_ms + rng.randint(1, _MOST_OUT_OF_ORDER_MS)
    # What is counted by address or card is forgotten by then, and these would count what is left of it.
    value.update(event_time=value["event_time"] - _TOO_LATE_MS, ip=None, card_id=None)
    return sent_ms


def _alter(value: dict[str, Any], rng: random.Random, shared: set[int]) -> None:
    home = int(str(value["account_id"]).rpartition("-")[2]) // 4
    if home in shared and str(value["device_id"]).endswith("-1"):
        value["device_id"] = f"d-home-{home}"
    for name in ("device_id", "ip", "card_id"):
        if rng.random() < _LACKING:
            value[name] = None


def purchases_in(sent: Sequence[Sent]) -> list[Purchase]:
    return [decode_purchase(one.value) for one in sent if one.topic == "purchases"]
