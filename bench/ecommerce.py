"""A device rule on the e-commerce set: text of our language, through router, station and desk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from bench.datasets import FirstPurchase
from models.decision import Action, decode_decision
from rules.desk import Desk
from rules.desk_outputs import DECISIONS
from rules.fold import Fold, Output, Record
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.router import PURCHASES, Router
from rules.rulesets import reference_of
from rules.station import Station
from rules.step import ASSESSMENTS, SIGHTINGS

RULESET: Final = """\
ruleset: device-reuse
currency: USD
time_zone: UTC
rules:
  - id: device-seen
    when: count(device_id, 24h) > 1
    then: flag
    reason: DEVICE_SEEN
"""


class Detection(NamedTuple):
    """Of what was flagged, how much is fraud; of the fraud, how much was flagged."""

    precision: float
    recall: float


class _One:
    """A single ruleset, in force from the start."""

    def __init__(self, ruleset: CompiledRuleset) -> None:
        self._ruleset = ruleset

    def in_force(self) -> CompiledRuleset:
        """The ruleset."""
        return self._ruleset

    def get(self, reference: str) -> CompiledRuleset:
        """The ruleset, by its own reference."""
        if reference != reference_of(self._ruleset):
            raise KeyError(reference)
        return self._ruleset


def measure_device_rule(purchases: Sequence[FirstPurchase]) -> Detection:
    """Decide on every purchase in order of time and compare with the labels."""
    rulesets = _One(compile_ruleset(RULESET, "device-reuse.yaml"))
    steps: dict[str, Fold] = {
        PURCHASES: Router(PURCHASES, rulesets, lambda _: 0),
        SIGHTINGS: Station(rulesets),
        ASSESSMENTS: Desk(rulesets),
    }
    flagged = hits = frauds = 0
    for offset, purchase in enumerate(purchases):
        is_flagged = _decide(steps, offset, purchase) is not Action.APPROVE
        flagged += is_flagged
        frauds += purchase.is_fraud
        hits += is_flagged and purchase.is_fraud
    return Detection(hits / flagged, hits / frauds)


def _decide(steps: dict[str, Fold], offset: int, purchase: FirstPurchase) -> Action:
    """Let one purchase travel until its decision is there."""
    sent = Output(PURCHASES, purchase.user.encode(), _encode(offset, purchase))
    while sent.topic != DECISIONS:
        record = Record(offset, purchase.time_ms, sent.key, sent.value, sent.headers)
        outputs = [*steps[sent.topic].apply(record), *steps[sent.topic].flush()]
        sent = next((each for each in outputs if each.topic == DECISIONS), outputs[0])
    return Action(decode_decision(sent.value or b"").action)


def _encode(offset: int, purchase: FirstPurchase) -> bytes:
    return orjson.dumps(
        {
            "transaction_id": f"t-{offset}",
            "account_id": purchase.user,
            "amount": purchase.amount_minor,
            "currency": "USD",
            "event_time": purchase.time_ms,
            "merchant_id": "shop",
            "mcc": "5999",
            "device_id": purchase.device,
        }
    )
