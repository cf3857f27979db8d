"""Purchases of a quarter with the rules that match them, drawn one by one: what a sample report is added up from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from models.decision import Action
from streams.backtest.report import Verdict

ZONE = ZoneInfo("Asia/Shanghai")
BEGIN = datetime(2026, 3, 2, tzinfo=ZONE)
WEEKS = 13
DAY_MS = 86_400_000


class Rule(NamedTuple):
    """A rule of the sample: how often it matches a good purchase and a fraud, and what it measured."""

    name: str
    action: Action
    good: float
    fraud: float
    feature: str | None = None
    observed: int | float | str | None = None
    threshold: int | float | str | None = None
    final: bool = False
    shadow: bool = False

    @property
    def code(self) -> str:
        return self.name.replace("-", "_").upper()


OLD_RULES = (
    Rule("over-credit", Action.BLOCK, 0.004, 0.02, "amount", 182_000, 100_000, final=True),
    Rule("device-burst", Action.BLOCK, 0.0006, 0.16, "count(device_id, 10m)", 9, 8),
    Rule("device-farm", Action.BLOCK, 0.0002, 0.10, "distinct(account_id, device_id, 1h)", 4, 3),
    Rule("ip-burst", Action.FLAG, 0.002, 0.08, "count(ip, 1m)", 6, 4),
    Rule("card-testing", Action.BLOCK, 0.0003, 0.07, "count(account_id, 10m)", 7, 4),
    Rule("bust-out", Action.FLAG, 0.003, 0.05, "sum(amount, account_id, 24h, approved)", 1_823_400, 1_600_000),
    Rule("far-country", Action.FLAG, 0.0015, 0.04, "country", "BR", "AR, BR, CL"),
    Rule("night-and-large", Action.FLAG, 0.004, 0.03, "amount", 640_000, 500_000),
)
NEW_RULES = (
    OLD_RULES[0],
    Rule("device-burst", Action.BLOCK, 0.0011, 0.27, "count(device_id, 10m)", 6, 5),
    *OLD_RULES[2:7],
    Rule("merchant-with-much-fraud-lately", Action.FLAG, 0.002, 0.22, "count(merchant_id, 30d, fraud)", 12, 10),
    Rule("new-device-on-old-account", Action.BLOCK, 0.0004, 0.12, "age(device_id)", 240_000, 7_200_000),
    Rule("quick-after-large", Action.FLAG, 0.003, 0.06, "since(account_id)", 9_000, 30_000, shadow=True),
)
NAMES = tuple(dict.fromkeys(rule.name for rule in (*OLD_RULES, *NEW_RULES)))


class Bought(NamedTuple):
    """A purchase of the sample, with the rules that match it under each ruleset."""

    number: int
    amount: int
    time_ms: int
    verdict: Verdict | None
    old: tuple[Rule, ...]
    new: tuple[Rule, ...]


def draw(purchases: int, *, seed: int = 7) -> list[Bought]:
    """Purchases in order of time, about one in a hundred a fraud."""
    rng = random.Random(seed)
    begin_ms = int(BEGIN.timestamp() * 1000)
    times = sorted(rng.randrange(WEEKS * 7 * DAY_MS) for _ in range(purchases))
    drawn: list[Bought] = []
    for number, offset_ms in enumerate(times):
        fraud = rng.random() < 0.011
        amount = int(rng.lognormvariate(10.4 if fraud else 9.1, 1.0)) + 1
        chances = {name: rng.random() for name in NAMES}

        def match(rules: Sequence[Rule], fraud: bool = fraud, chances: dict[str, float] = chances) -> tuple[Rule, ...]:
            return tuple(rule for rule in rules if chances[rule.name] < (rule.fraud if fraud else rule.good))

        labelled = rng.random() < 0.85
        verdict: Verdict | None = ("fraud" if fraud else "genuine") if labelled else None
        drawn.append(Bought(number, amount, begin_ms + offset_ms, verdict, match(OLD_RULES), match(NEW_RULES)))
    return drawn
