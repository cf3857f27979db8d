"""Columns against the row path, value for value, on generated rulesets and streams that lie on edges."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.purchase import Purchase
from rules.columns.evaluate import columnar_obstacle
from rules.columns.table import NEVER_MS
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.plan import ENTITY_FIELDS
from tests.rules.columns.streams import START_MS, labels, purchase, stream, tables, verify_equal
from tests.rules.language.generated import CONDITIONS, LISTS

Draw = Callable[[st.SearchStrategy[Any]], Any]
DRAWN = settings(
    max_examples=150,
    deadline=None,
    # A seed does not shrink: the first failure is as good as the last.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
# What columns can't do, and what stands in its place here.
_STAND_INS = {
    ", approved)": ")",
    ", declined)": ")",
    "anomaly": "instalments",
    "available_credit": "amount",
    "credit_limit": "max(amount, account_id, 24h)",
}
ZONES = ["Asia/Shanghai", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]


def heads(currency: str, zone: str, lateness: str, max_rows: int, *, rate: bool = True) -> list[str]:
    lines = [f"ruleset: drawn\ncurrency: {currency}\ntime_zone: {zone}"]
    lines += [f"allowed_lateness: {lateness}\nmax_rows: {max_rows}", "lists:"]
    lines += [f"  {name}: {values!s}" for name, values in LISTS.items()]
    return [*lines, *(["rates: {USD: 7.1}"] if rate else []), "rules:"]


@st.composite
def rulesets(draw: Draw) -> str:
    currency = draw(st.sampled_from(["CNY", "CNY", "JPY", "BHD"]))
    lines = heads(
        currency,
        draw(st.sampled_from(ZONES)),
        draw(st.sampled_from(["1s", "24h"])),
        draw(st.sampled_from([32, 48, 512])),
        rate=draw(st.booleans()),
    )
    for number in range(draw(st.integers(1, 4))):
        when = draw(CONDITIONS)
        for text, instead in _STAND_INS.items():
            when = when.replace(text, instead)
        if currency == "JPY":
            for fraction in (".01", ".02", ".34", ".00"):
                when = when.replace(fraction, "")
        then = draw(st.sampled_from(["allow", "block", "flag"]))
        lines += [f"  - id: r-{number}", f"    when: >-\n      {when}", f"    then: {then}"]
        lines += ["    final: true"] * (then == "block" and draw(st.booleans()))
        lines += ["    mode: shadow"] * (draw(st.integers(0, 3)) == 0)
    return "\n".join(lines)


@DRAWN
@given(rules=rulesets(), seed=st.integers(0, 2**32), size=st.integers(0, 120), pauses=st.booleans())
def test_generated_rulesets_come_to_the_same(rules: str, seed: int, size: int, pauses: bool) -> None:
    rng, ruleset = random.Random(seed), compile_ruleset(rules)
    assert columnar_obstacle(ruleset.plan) is None
    purchases = stream(rng, size, ["CNY", "CNY", "USD", "EUR"], pauses=pauses)
    cuts = tables(rng, size)
    verify_equal(ruleset, purchases, labels(rng, purchases), cuts)


@lru_cache(maxsize=64)
def all_features(entity: str, zone: str, lateness: str, max_rows: int, then: str) -> CompiledRuleset:
    """A ruleset that asks everything of an entity, and stops some purchases by what it is told."""
    calls: list[str] = [f"since({entity})", f"age({entity})"]
    for window in ("1s", "10m", "1h", "24h", "30d", "today", "this_week", "this_month"):
        for outcome in ("", ", fraud"):
            calls += [f"{name}(amount, {entity}, {window}{outcome})" for name in ("sum", "avg", "min", "max")]
            calls += [f"count({entity}, {window}{outcome})"]
            calls += [f"distinct({field}, {entity}, {window}{outcome})" for field in ("merchant_id", "device_id")]
    lines = heads("CNY", zone, lateness, max_rows)
    lines += [
        line
        for number, call in enumerate(calls)
        for line in (f"  - id: r-{number}", f"    when: is_missing({call})", "    then: flag")
    ]
    lines += ["  - id: stops", f"    when: count({entity}, 1h) > 2 and amount > 2", f"    then: {then}"]

    lines += ["  - id: fraud", f"    when: count({entity}, 30d, fraud) > 3 and amount > 3", f"    then: {then}"]
    return compile_ruleset("\n".join(lines))


ENTITIES = st.lists(st.sampled_from(ENTITY_FIELDS), min_size=1, max_size=2, unique=True).map(
    lambda fields: fields[0] if len(fields) == 1 else f"({', '.join(fields)})"
)


@settings(parent=DRAWN, max_examples=60)
@given(
    entity=ENTITIES,
    zone=st.sampled_from(ZONES),
    lateness=st.sampled_from(["1s", "24h"]),
    max_rows=st.sampled_from([32, 40, 512]),
    then=st.sampled_from(["flag", "block", "block"]),
    seed=st.integers(0, 2**32),
    size=st.integers(1, 200),
    pauses=st.booleans(),
)
def test_every_feature_is_measured_the_same(
    entity: str, zone: str, lateness: str, max_rows: int, then: str, seed: int, size: int, pauses: bool
) -> None:
    rng, ruleset = random.Random(seed), all_features(entity, zone, lateness, max_rows, then)
    purchases = stream(rng, size, ["CNY", "CNY", "USD", "EUR"], pauses=pauses)
    cuts = tables(rng, size)
    verify_equal(ruleset, purchases, labels(rng, purchases), cuts)


CROWD_RULES = """
ruleset: crowds
time_zone: UTC
allowed_lateness: {lateness}
max_rows: 32
rules:
"""


@lru_cache(maxsize=16)
def crowd_rules(lateness: str, window: str, then: str) -> CompiledRuleset:
    """Rules over windows that reach as far back as logs are kept, or nearly, on several entities of a purchase."""
    calls = [
        f"{call.format(entity, each)}"
        for entity in ("account_id", "merchant_id", "(account_id, merchant_id)", "(device_id, ip)")
        for each in (window, f"{window}, fraud")
        for call in ("count({}, {})", "sum(amount, {}, {})", "max(amount, {}, {})", "distinct(mcc, {}, {})")
    ]
    lines = [CROWD_RULES.format(lateness=lateness)]
    for number, call in enumerate(calls):
        lines += [f"  - id: r-{number}", f"    when: {call} > {5 + number % 30}", "    then: flag"]
    lines += ["  - id: allows", "    when: amount in [0.02, 5.00] or instalments == 60", "    then: allow"]
    lines += ["  - id: stops", "    when: sum(amount, account_id, 1m) > 6.00 or amount == 0.03", f"    then: {then}"]
    return compile_ruleset("\n".join(lines))


def crowd(rng: random.Random, size: int, reach_ms: int) -> list[Purchase]:
    """Purchases of which about as many as a log keeps are in reach at once, with bursts, and pauses to forget all."""
    now_ms, made = START_MS, list[Purchase]()
    share = rng.choice([30, 40, 70, 120])
    for number in range(size):
        pause_ms = reach_ms + rng.choice([-1, 0, 1, 9_000]) if rng.random() < 0.005 else 0
        now_ms += pause_ms or rng.choice([0, 0, 1, 2, 3]) * reach_ms // (1.2 * share).__ceil__()
        one = purchase(rng, number, now_ms, rng.choice(["a-1", "a-1", "a-1", "a-2"]), "CNY")
        busy = {"merchant_id": "m-1", "device_id": "d-1", "ip": "203.0.113.7"} if rng.random() < 0.7 else {}
        made.append(one.model_copy(update=busy))
    return made


@settings(parent=DRAWN, max_examples=80)
@given(
    lateness=st.sampled_from(["1s", "3m"]),
    window=st.sampled_from(["2m", "10m"]),
    then=st.sampled_from(["flag", "block"]),
    seed=st.integers(0, 2**32),
    frauds=st.sampled_from([0.0, 0.5, 0.95]),
)
def test_crowded_entities_merge_the_same(lateness: str, window: str, then: str, seed: int, frauds: float) -> None:
    rng, ruleset = random.Random(seed), crowd_rules(lateness, window, then)
    reach_ms = (int(window[:-1]) + {"1s": 0, "3m": 3}[lateness]) * 60_000
    purchases = crowd(rng, 400, reach_ms)
    cuts = [slice(begin, begin + 25) for begin in range(0, 400, 25)] if rng.random() < 0.5 else tables(rng, 400)
    delays_ms = [-reach_ms, 0, 0, 1, 5_000, reach_ms // 2, reach_ms // 2, reach_ms]
    known_ms = [p.event_time + rng.choice(delays_ms) if rng.random() < frauds else NEVER_MS for p in purchases]
    verify_equal(ruleset, purchases, known_ms, cuts)
