"""Streams of purchases that lie on the edges of windows, and how they are compared."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from models.purchase import Instalments, Purchase
from rules.columns.evaluate import ColumnarRuleset, Evaluated
from rules.columns.purchases import columns_of
from rules.columns.table import NEVER_MS
from rules.language.compile import CompiledRuleset
from tests.rules.columns.by_rows import RowResult, by_rows

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
# 24 October 2026: clocks in Berlin go back in the night that follows; New York's a week later.
START_MS = 1_792_792_800_000
GAPS_MS = [
    *[0] * 8,
    *[1, 999, SECOND_MS, MINUTE_MS] * 2,
    *(length + edge for length in (10 * MINUTE_MS, HOUR_MS, DAY_MS) for edge in (-1, 0, 1)),
    *(5 * HOUR_MS, 7 * HOUR_MS, 25 * HOUR_MS),
]
# What a log of 30 days is kept for, with a lateness of a second or a day.
PAUSES_MS = [reach + edge for reach in (30 * DAY_MS, 30 * DAY_MS + SECOND_MS, 31 * DAY_MS) for edge in (-1, 0, 1)]
AMOUNTS = [1, 2, 3, 500, 501, 2_000_000, 10**15]
ATTRIBUTES = [0, 1, 2, -1, 1.5, 0.1, 1e308, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 10**400, "x", "y", "1", True]


def stream(rng: random.Random, size: int, currencies: Sequence[str], *, pauses: bool) -> list[Purchase]:
    """Purchases in order of time, of few entities."""
    now_ms, accounts = START_MS, rng.choice([1, 2, 4])
    made: list[Purchase] = []
    for number in range(size):
        gaps_ms = PAUSES_MS if pauses and rng.random() < 0.04 else GAPS_MS[: rng.choice([8, 40])]
        now_ms += rng.choice(gaps_ms)
        made.append(purchase(rng, number, now_ms, f"a-{rng.randrange(accounts)}", rng.choice(currencies)))
    return made


def purchase(rng: random.Random, number: int, time_ms: int, account: str, currency: str) -> Purchase:
    """One purchase, of what there are few of."""
    attributes = {name: rng.choice(ATTRIBUTES) for name in ("n", "t", "b") if rng.random() < 0.5}
    return Purchase.model_construct(
        transaction_id=f"t-{number}",
        account_id=account,
        amount=rng.choice(AMOUNTS),
        currency=currency,
        event_time=time_ms,
        merchant_id=rng.choice(["m-1", "m-2", "m-3"]),
        mcc=rng.choice(["5411", "5732"]),
        card_id=rng.choice([None, "c-1", "d-1"]),
        device_id=rng.choice([None, "d-1", "d-2"]),
        ip=rng.choice([None, "203.0.113.7", "203.0.113.8"]),
        country=rng.choice([None, "CN", "NZ"]),
        channel=rng.choice([None, "web"]),
        instalments=rng.choice([None, Instalments(count=3), Instalments(count=60)]),
        attributes=attributes if rng.random() < 0.5 else {},
    )


def labels(rng: random.Random, purchases: Sequence[Purchase]) -> list[int]:
    """When each purchase becomes known as fraud, if it does: before it, with it, or up to months later."""
    delays = [-DAY_MS, -1, 0, 1, SECOND_MS, HOUR_MS, DAY_MS - 1, DAY_MS, 3 * DAY_MS, 40 * DAY_MS]
    return [p.event_time + rng.choice(delays) if rng.random() < 0.4 else NEVER_MS for p in purchases]


def tables(rng: random.Random, size: int) -> list[slice]:
    """A stream cut at random, at times into tables of one purchase or none."""
    cuts = sorted(rng.randrange(size + 1) for _ in range(rng.choice([0, 1, 3, 8])))
    return [slice(begin, end) for begin, end in zip([0, *cuts], [*cuts, size], strict=True)]


def verify_equal(
    ruleset: CompiledRuleset,
    purchases: Sequence[Purchase],
    fraud_known_ms: Sequence[int],
    cuts: Sequence[slice],
) -> None:
    """Assert that columns give what rows give, value for value."""
    expected = by_rows(ruleset, purchases, fraud_known_ms)
    run = ColumnarRuleset(ruleset)
    for cut in cuts:
        verify_table(ruleset, run.take(columns_of(purchases[cut], fraud_known_ms[cut])), expected[cut])


def verify_table(ruleset: CompiledRuleset, evaluated: Evaluated, expected: Sequence[RowResult | None]) -> None:
    """Assert that a table's answers are those of its rows."""
    assert evaluated.hits.shape == (len(ruleset.conditions), len(expected))
    for row, result in enumerate(expected):
        assert bool(evaluated.ok[row]) is (result is not None)
        values = [int(c.values[row]) if c.known[row] else None for c in evaluated.values]
        ids = [rule.id for rule in ruleset.document.rules]
        matched = {ids[number] for number in np.flatnonzero(evaluated.hits[:, row])}
        action = ("approve", "flag", "block")[int(evaluated.actions[row])]
        if result is None:
            assert (set(values) <= {None}, matched, action) == (True, set(), "approve")
            continue
        named = dict(zip(ruleset.plan.feature_names, values, strict=True))
        assert (int(evaluated.amount_minor[row]), named, matched, action) == (
            result.amount_minor,
            dict(zip(ruleset.plan.feature_names, result.values, strict=True)),
            result.matched,
            result.action,
        ), f"purchase {row}"
