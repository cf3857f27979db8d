"""Recordings with labels to tune rules on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

import orjson

from streams.engine.partitioner import partition_for
from streams.recording.reader import Recording
from tests.streams.timeline.recordings import Sent, record

START_MS: Final = 1_772_431_200_000
HOUR_MS: Final = 3_600_000
PARTITIONS: Final = 2

RULES: Final = """\
# What the checkout is told.
ruleset: checkout
params:
  burst:  # in ten minutes
    value: 5
    try: [1, 2, 3, 5, 8]
  large: {value: 500.00, try: [300.00, 400.00]}
  reach: 10m
rules:
  - id: device-burst
    when: count(device_id, $reach) > $burst and amount > 1.00
    then: block
  - id: large
    when: amount > $large
    then: flag
"""


def record_stream(directory: Path, seed: int, size: int, *, labelled: float = 0.7) -> Recording:
    """Purchases of a few busy accounts and devices, some without a rate to CNY or USD; of most it is known how they
    turned out, more often as fraud where they are large. Limits and repayments between them.
    """
    rng, sent = random.Random(seed), list[Sent]()
    time_ms = START_MS
    for number in range(size):
        time_ms += rng.choice([0, 1, 60_000, 20 * 60_000, HOUR_MS])
        purchase: dict[str, Any] = {
            "transaction_id": f"t-{number}",
            "account_id": f"a-{rng.randint(1, 4)}",
            "amount": rng.choice([50, 2_000, 35_000, 45_000, 60_000]),
            "currency": rng.choice(["CNY", "CNY", "CNY", "USD", "EUR"]),
            "event_time": time_ms,
            "merchant_id": rng.choice(["m-1", "m-2"]),
            "mcc": "5411",
            "device_id": rng.choice(["d-1", "d-2", "d-3"]),
        }
        partition = partition_for(purchase["account_id"].encode(), PARTITIONS)
        sent.append(Sent("purchases", partition, time_ms, orjson.dumps(purchase)))
        if rng.random() < labelled:
            fraud = rng.random() < (0.5 if purchase["amount"] > 30_000 else 0.1)
            label = {
                "transaction_id": purchase["transaction_id"],
                "account_id": purchase["account_id"],
                "verdict": rng.choice(["fraud", "chargeback"]) if fraud else "genuine",
                "event_time": time_ms + rng.choice([0, HOUR_MS]),
                "purchase": purchase,
            }
            sent.append(Sent("labels", 0, time_ms, orjson.dumps(label)))
        if rng.random() < 0.2:
            limit = {"account_id": "a-1", "credit_limit": 100_000, "currency": "CNY", "event_time": time_ms}
            sent.append(Sent("accounts", 0, time_ms, orjson.dumps(limit)))
    return record(directory, sent, {"purchases": PARTITIONS, "labels": 1, "accounts": 1})


def record_attacks(directory: Path) -> Recording:
    """Six weeks of a shop: customers who buy now and then, sometimes thrice in a row, and thieves who try many cards
    on one device. All labels come in four days after.
    """
    rng = random.Random(5)
    bought: list[tuple[int, str, str, int, str]] = []
    for customer in range(400):
        for _ in range(rng.randint(2, 12)):
            at_ms = START_MS + rng.randrange(42 * 24 * HOUR_MS)
            for _ in range(rng.choice([1] * 12 + [2, 2, 3, 4])):
                amount = round(rng.lognormvariate(9.2, 0.7))
                bought.append((at_ms, f"a-{customer}", f"d-{customer}", amount, "genuine"))
                at_ms += rng.randrange(200_000)
    for thief in range(45):
        at_ms = START_MS + rng.randrange(42 * 24 * HOUR_MS)
        for card in range(rng.randint(2, 9)):
            amount = round(rng.lognormvariate(10.2, 0.6))
            bought.append((at_ms, f"a-{thief}-{card}", f"d-stolen-{thief}", amount, "fraud"))
            at_ms += rng.randrange(150_000)
    sent: list[Sent] = []
    for number, (at_ms, account_id, device_id, amount, verdict) in enumerate(sorted(bought)):
        known = {"transaction_id": f"t-{number}", "account_id": account_id}
        purchase = {"amount": amount, "currency": "CNY", "merchant_id": "m-1", "mcc": "5411", "device_id": device_id}
        sent.append(Sent("purchases", 0, at_ms, orjson.dumps(known | purchase | {"event_time": at_ms})))
        known_ms = at_ms + 96 * HOUR_MS
        sent.append(Sent("labels", 0, known_ms, orjson.dumps(known | {"verdict": verdict, "event_time": known_ms})))
    return record(directory, sent, {"purchases": 1, "labels": 1})
