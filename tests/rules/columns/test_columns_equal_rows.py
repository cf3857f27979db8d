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
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.plan import ENTITY_FIELDS
from tests.rules.columns.streams import labels, stream, tables, verify_equal
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
    verify_equal(ruleset, purchases, known_of(rng, ruleset, purchases, cuts), cuts)


def known_of(rng: random.Random, ruleset: CompiledRuleset, purchases: list[Purchase], cuts: list[slice]) -> list[int]:
    """When purchases become known as fraud.

    Columns know of a label when the purchase's table comes. So a label that is as early as its purchase is not for
    one whose moment is cut in two; and none is early where a log of fraud may be full, as that may merge at labels.
    """
    known_ms, begun = labels(rng, purchases), {cut.start for cut in cuts}
    cut_ms = {p.event_time for row, p in enumerate(purchases) if row in begun}
    full = ruleset.plan.max_rows <= len(purchases)
    return [
        max(known, p.event_time + (p.event_time in cut_ms)) if full or p.event_time in cut_ms else known
        for known, p in zip(known_ms, purchases, strict=True)
    ]


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
    verify_equal(ruleset, purchases, known_of(rng, ruleset, purchases, cuts), cuts)
