"""Well-typed rule files as text, and purchases to judge by them, drawn at random."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from models.purchase import Instalments, Purchase
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.language.parser import parse_expression
from rules.plan import Aggregate, Feature, Trailing
from tests.rules.language.reference import RuleText, World, feature_key

LISTS: dict[str, list[str | int]] = {
    "merchants": ["m-1", "m-2"],
    "categories": ["5411", 5732],
    "numbers": [0, 1, 2, 100],
    "nothing": [],
}
ENTITY_FIELDS = ["account_id", "card_id", "device_id", "ip", "merchant_id", "mcc"]
TEXTS = {
    "merchant_id": ["m-1", "m-2", "m-3"],
    "device_id": ["d-1", "d-2", "no device"],
    "card_id": ["c-1", "c-2"],
    "mcc": ["5411", "5732", "57"],
    "country": ["CN", "NZ", "nz"],
    "channel": ["web", "app"],
    "currency": ["CNY", "USD", "EUR"],
    "ip": ["203.0.113.7", "203.0.113.8", "203.0.113.007"],
}
START_MS = 1_792_792_800_000

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def entities(draw: Draw) -> str:
    fields = draw(st.lists(st.sampled_from(ENTITY_FIELDS), min_size=1, max_size=2, unique=True))
    return fields[0] if len(fields) == 1 else f"({', '.join(fields)})"


@st.composite
def calls(draw: Draw, names: list[str], of: str = "") -> str:
    name, entity = draw(st.sampled_from(names)), draw(entities())
    of = draw(st.sampled_from(ENTITY_FIELDS)) if name == "distinct" else of
    window = draw(st.sampled_from(["10m", "1h", "24h", "today", "this_week", "this_month"]))
    parts = [*([of] if of else []), entity, *([] if name in ("since", "age") else [window])]
    outcomes = [
        *(["approved", "declined"] if "account_id" in entity else []),
        *([] if name in ("since", "age") else ["fraud"]),
    ]
    parts += draw(st.sampled_from([[], [], *([outcome] for outcome in outcomes)]))
    return f"{name}({', '.join(parts)})"


def arithmetic(inner: st.SearchStrategy[str], beside: st.SearchStrategy[str], by: st.SearchStrategy[str]) -> Any:
    """Sums of the same kind, products and quotients with numbers, signs."""
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-"), beside),
        st.builds("({} {} {})".format, beside, st.sampled_from("+-"), inner),
        st.builds("{} {} {}".format, inner, st.sampled_from("*/"), by),
        st.builds("{} * {}".format, by, inner),
        st.builds("-{}".format, inner),
    )


def grown(bare: st.SearchStrategy[str], literals: st.SearchStrategy[str], by: st.SearchStrategy[str]) -> Any:
    """Bare values, and arithmetic with them."""
    once = arithmetic(bare, bare | literals, by)
    twice = arithmetic(st.builds("({})".format, once), bare | literals, by)
    return st.one_of(bare, bare, bare, once, twice)


NUMBER_LITERALS = st.sampled_from(["0", "1", "2", "3", "23", "0.5", "0.97", "1.0", "-1", "2_000", "999999999999999"])
MONEY_LITERALS = st.sampled_from(["0", "1", "0.01", "0.02", "5", "12.34", "-0.01", "20_000.00"])
DURATION_LITERALS = st.sampled_from(["0s", "1s", "10m", "24h", "30d"])
FACTORS = st.sampled_from(["0", "1", "2", "0.5", "(2 - 1)", "999999999999999", "hour", "anomaly", "attributes.n"])

BARE_NUMBERS = st.one_of(
    calls(["count", "distinct"]), st.sampled_from(["hour", "day_of_week", "instalments", "anomaly"])
)
NUMBERS = grown(BARE_NUMBERS, NUMBER_LITERALS | st.just("attributes.n"), FACTORS)
MONEY = grown(
    st.one_of(
        calls(["sum", "avg", "min", "max"], "amount"), st.sampled_from(["amount", "available_credit", "credit_limit"])
    ),
    MONEY_LITERALS,
    FACTORS,
)
DURATIONS = grown(calls(["since", "age"]), DURATION_LITERALS, FACTORS)
OPERATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def comparisons(values: st.SearchStrategy[str], others: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("{} {} {}".format, values, OPERATORS, others)


def quoted(text: str) -> str:
    return f'"{text}"'


@st.composite
def text_conditions(draw: Draw) -> str:
    field = draw(st.sampled_from(sorted(TEXTS)))
    value = quoted(draw(st.sampled_from(TEXTS[field])))
    several = ", ".join(quoted(text) for text in draw(st.lists(st.sampled_from(TEXTS[field]), max_size=3)))
    return draw(
        st.sampled_from(
            [
                f"{field} == {value}",
                f"{value} != {field}",
                f"{field} != {value}",
                f"{field} in [{several}]",
                f"{field} not in [{several}]",
                f"{field} in @merchants",
                f"mcc {draw(st.sampled_from(['in', 'not in']))} @categories",
                f"{field} not in @nothing",
                "device_id == card_id",
            ]
        )
    )


ATTRIBUTE_CONDITIONS = st.sampled_from(
    [
        "attributes.b",
        "attributes.b == true",
        "attributes.b != false",
        'attributes.t == "x"',
        'attributes.t != "x"',
        'attributes.t in ["x", "y"]',
        "attributes.n in [1, 2, -1]",
        "attributes.n not in @numbers",
        "attributes.n > 1",
        "attributes.n <= 1.5",
        "attributes.n == attributes.n * 1",
        "attributes.t in @merchants",
        "attributes.n * attributes.n > attributes.n + 1",
        "true",
        "false",
        "1 < 2",
        '"a" == "b"',
    ]
)
MISSING = st.builds(
    "is_missing({})".format,
    st.one_of(st.sampled_from([*TEXTS, "amount", "attributes.n", "attributes.b", "anomaly"]), NUMBERS, MONEY),
)
LEAVES = st.one_of(
    comparisons(NUMBERS, NUMBERS | NUMBER_LITERALS | st.just("attributes.n")),
    comparisons(MONEY, MONEY | MONEY_LITERALS),
    comparisons(DURATIONS, DURATIONS | DURATION_LITERALS),
    comparisons(NUMBER_LITERALS, BARE_NUMBERS),
    comparisons(st.sampled_from(["hour", "amount", "anomaly", "count(ip, 1h)"]), st.sampled_from(["0", "1", "2"])),
    st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["in", "not in"]), st.just("@numbers")),
    st.builds("{} {} [{}]".format, MONEY, st.sampled_from(["in", "not in"]), MONEY_LITERALS),
    text_conditions(),
    text_conditions(),
    ATTRIBUTE_CONDITIONS,
    MISSING,
)
CONDITIONS: st.SearchStrategy[str] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: f"({' or '.join(parts)})"),
        inner.map(lambda part: f"not ({part})"),
    ),
    max_leaves=8,
)


@dataclass(frozen=True)
class RuleFileText:
    """A generated rule file: its text, what it compiles to, and its rules as they were written."""

    text: str
    compiled: CompiledRuleset
    rules: list[RuleText]


@st.composite
def rule_files(draw: Draw, most: int = 5) -> RuleFileText:
    currency, zone = (
        draw(st.sampled_from(["CNY", "JPY", "BHD"])),
        draw(st.sampled_from(["Asia/Shanghai", "America/New_York"])),
    )
    lines = [f"ruleset: drawn\ncurrency: {currency}\ntime_zone: {zone}", "lists:"]
    lines += [f"  {name}: {values!s}" for name, values in LISTS.items()]
    lines += ["rates: {USD: 7.1}"] if draw(st.booleans()) else []
    lines.append("rules:")
    rules: list[RuleText] = []
    for number in range(draw(st.integers(1, most))):
        when = draw(CONDITIONS)
        if currency == "JPY":
            for fraction in (".01", ".02", ".34", ".00"):
                when = when.replace(fraction, "")
        then = draw(st.sampled_from(["allow", "block", "flag"]))
        final = then == "block" and draw(st.booleans())
        shadow = draw(st.integers(0, 3)) == 0
        lines += [f"  - id: r-{number}", f"    when: >-\n      {when}", f"    then: {then}"]
        lines += ["    final: true"] * final + ["    mode: shadow"] * shadow
        rules.append(RuleText(f"r-{number}", parse_expression(when), then, final, shadow))
    text = "\n".join(lines)
    return RuleFileText(text, compile_ruleset(text), rules)


def maybe(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


@st.composite
def purchases(draw: Draw, compiled: CompiledRuleset) -> Purchase:
    currencies = [compiled.document.currency, *compiled.document.rates]
    attributes = {
        "n": draw(maybe([0, 1, 2, -1, 1.5, 1e308, 2**62, 2**63, 10**400, "1", True])),
        "t": draw(maybe(["x", "y", "m-1", 1])),
        "b": draw(maybe([True, False, 1, "true"])),
    }
    return Purchase(
        transaction_id="t-1",
        account_id="a-1",
        amount=draw(st.sampled_from([1, 2, 500, 2_000_000, 10**15])),
        currency=draw(st.sampled_from(currencies)),
        event_time=START_MS + draw(st.integers(0, 7 * 24)) * 3_600_000,
        merchant_id=draw(st.sampled_from(["m-1", "m-2", "m-3"])),
        mcc=draw(st.sampled_from(["5411", "5732"])),
        card_id=draw(maybe(["c-1", "d-1"])),
        device_id=draw(maybe(["d-1", "d-2"])),
        ip=draw(maybe(["203.0.113.7", "203.0.113.8"])),
        country=draw(maybe(["CN", "NZ"])),
        channel=draw(maybe(["web", "app"])),
        instalments=draw(maybe([Instalments(count=3), Instalments(count=60)])),
        attributes={name: value for name, value in attributes.items() if value is not None},
    )


def lowest(feature: Feature, amount: int) -> int:
    """The least that a feature is for a purchase that has its entity."""
    if feature.aggregate is Aggregate.SUM and feature.outcome is None:
        return amount
    if feature.aggregate is Aggregate.COUNT and feature.outcome is None:
        return 1
    present = feature.field in ("account_id", "merchant_id", "mcc") or feature.field in feature.entity
    return 1 if feature.aggregate is Aggregate.DISTINCT and present and feature.outcome is None else 0


@st.composite
def values_of(draw: Draw, compiled: CompiledRuleset, purchase: Purchase, amount: int) -> dict[str, int | None]:
    """Values that the features can have together: longer windows hold what shorter ones hold."""
    values: dict[str, int | None] = {}
    families: defaultdict[Any, list[Feature]] = defaultdict(list)
    for feature in compiled.plan.features:
        window = feature.window if not isinstance(feature.window, Trailing) else None
        families[feature.aggregate, feature.entity, feature.field, feature.outcome, window].append(feature)
    for family in families.values():
        first = family[0]
        low = lowest(first, amount)
        drawn = sorted(low + draw(st.sampled_from([0, 1, 2, 500, 10**12])) for _ in family)
        if first.aggregate is Aggregate.MIN:
            drawn.reverse()
        if first.aggregate is Aggregate.DISTINCT and first.field in first.entity:
            drawn = [min(value, 1) for value in drawn]
        by_length = sorted(family, key=lambda f: f.window.length_ms if isinstance(f.window, Trailing) else 0)
        missing = any(getattr(purchase, field) is None for field in first.entity)
        may_lack = first.aggregate in (Aggregate.SINCE, Aggregate.AVG, Aggregate.MIN, Aggregate.MAX)
        for feature, value in zip(by_length, drawn, strict=True):
            lacks = missing or (may_lack and draw(st.booleans())) or draw(st.integers(0, 9)) == 0
            values[feature.name] = None if lacks else value
    return values


@st.composite
def worlds(draw: Draw, file: RuleFileText) -> World:
    """A purchase with all that is known of it."""
    compiled = file.compiled
    purchase = draw(purchases(compiled))
    amount = draw(st.sampled_from([1, 2, 500, 2_000_000]))
    values = draw(values_of(compiled, purchase, amount))
    return World(
        purchase,
        amount,
        {feature_key(feature): values[feature.name] for feature in compiled.plan.features},
        draw(st.sampled_from([None, 0.0, 0.5, 0.98, 1.0])),
        draw(maybe([-1, 0, 500, 10**9])),
        draw(maybe([0, 500, 10**9])),
        compiled.document.time_zone,
        {"CNY": 2, "JPY": 0, "BHD": 3}[compiled.document.currency],
        LISTS,
    )
