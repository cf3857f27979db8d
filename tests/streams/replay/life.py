"""The life of a line in memory: purchases, good and bad, and what gateways write and ask."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import orjson

from models.decision import Decision, encode_decision
from models.purchase import Purchase, decode_purchase
from rules.degraded import decision_without_rules
from rules.fold import Headers
from rules.reply import reply_to_header
from streams.topics import ACCOUNTS, DEGRADED, INQUIRIES, PURCHASES, REPLIES, SETTLEMENTS
from tests.integration.shopping import START_MS, shopping
from tests.streams.replay.recorded import RecordedLine

AT_MS = START_MS + 24 * 3_600_000


def shop(
    line: RecordedLine,
    purchases: int,
    *,
    seed: int = 1,
    crashes: int = 0,
    gateways: bool = False,
    marks: Sequence[tuple[int, Callable[[], object]]] = (),
) -> None:
    """Send purchases, some of them malformed and some twice, and work between them; `marks` are called at theirs.

    With `gateways`, what they write and ask comes in as well.
    """
    rng = random.Random(seed)
    sent = shopping(seed, purchases, accounts=40, disorder=0.03, labels=True)
    crash_at = {rng.randrange(len(sent)) for _ in range(crashes)}
    for number, one in enumerate(sent):
        for call in [call for at, call in marks if at == number]:
            call()
        line.send(one.topic, one.key, one.value, AT_MS + number)
        if rng.random() < 0.03:
            line.send(one.topic, one.key, one.value, AT_MS + number)
        if rng.random() < 0.02:
            line.send(PURCHASES, one.key, b'{"account_id": "a-1"', AT_MS + number)
        if rng.random() < 0.05:
            line.send(PURCHASES, b"another" if rng.random() < 0.5 else None, one.value, AT_MS + number)
        if one.topic == PURCHASES and rng.random() < 0.06:
            other = {**orjson.loads(one.value), "amount": 1}
            line.send(PURCHASES, one.key, orjson.dumps(other), AT_MS + number)
        if gateways and one.topic == PURCHASES:
            _gateway(line, decode_purchase(one.value), AT_MS + number, random.Random(number))
        line.work(rng.randint(0, 10 if gateways else 4))
        if number in crash_at:
            line.crash()
    line.work()


def _gateway(line: RecordedLine, purchase: Purchase, at_ms: int, rng: random.Random) -> None:
    """What a gateway may write about a purchase, in any order: whoever reads it settles that."""
    key, about = purchase.account_id.encode(), _about(purchase)
    asking: Headers = (("trace", b"1"), reply_to_header(rng.randrange(line.counts[REPLIES]), f"r-{at_ms}"))
    if rng.random() < 0.1:
        line.send(PURCHASES, key, purchase.model_dump_json().encode(), at_ms, asking)
    if rng.random() < 0.1:
        line.send(INQUIRIES, key, orjson.dumps(about), at_ms, asking)
    if rng.random() < 0.1:
        asked = {"transaction_id": purchase.transaction_id, "partition": rng.randrange(4)}
        line.send(INQUIRIES, None, orjson.dumps(asked), at_ms, asking)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        line.send(DEGRADED, key, encode_decision(_degraded(purchase, rng)), at_ms)
    for kind in rng.choice([(), (), ("capture",), ("void",), ("capture", "refund"), ("refund", "capture", "capture")]):
        settlement = {**about, "kind": kind, "event_time": purchase.event_time + rng.randrange(60_000)}
        if kind == "refund":
            settlement |= {"refund_id": f"r-{rng.randrange(2)}", "amount": 1, "currency": purchase.currency}
        line.send(SETTLEMENTS, key, orjson.dumps(settlement), at_ms, asking if rng.random() < 0.5 else ())
    if rng.random() < 0.03:
        line.send(rng.choice([DEGRADED, SETTLEMENTS, INQUIRIES, ACCOUNTS]), key, b"{}", at_ms, asking)


def _about(purchase: Purchase) -> dict[str, str]:
    return {"transaction_id": purchase.transaction_id, "account_id": purchase.account_id}


def _degraded(purchase: Purchase, rng: random.Random) -> Decision:
    action = rng.choice(["approve", "flag", "block"])
    return decision_without_rules(purchase, action, ("default", "deadline"))
