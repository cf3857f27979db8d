"""What rules decide: actions and their precedence, reasons with what was observed, lists, literals, versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from models.decision import Action, Reason
from models.purchase import Purchase
from rules.language.compile import CompiledRuleset, Verdict, compile_ruleset
from rules.language.parser import duration_ms, duration_text
from rules.plan import Clearing

DAY_MS = 86_400_000
# A Monday, 02:00 in Shanghai.
START_MS = 1_792_951_200_000


def ruleset(*rules: str, head: str = "") -> CompiledRuleset:
    return compile_ruleset(f"ruleset: a\n{head}\nrules:\n" + "".join(f"- {{{rule}}}\n" for rule in rules))


def purchase(**fields: Any) -> Purchase:
    known: dict[str, Any] = {
        "transaction_id": "t-1",
        "account_id": "a-1",
        "amount": 500,
        "currency": "CNY",
        "event_time": START_MS,
        "merchant_id": "m-1",
        "mcc": "5411",
    }
    return Purchase(**(known | fields))


def judge(
    compiled: CompiledRuleset,
    values: Mapping[str, int | None] | None = None,
    clears: Mapping[str, tuple[int | None, ...]] | None = None,
    anomaly: float | None = None,
    credit: tuple[int | None, int | None] = (None, None),
    **fields: Any,
) -> Verdict:
    names = [feature.name for feature in compiled.plan.features]
    judged = purchase(**fields)
    return compiled.evaluate(
        judged,
        judged.amount,
        [(values or {}).get(name) for name in names],
        [(clears or {}).get(name, ()) for name in names],
        anomaly,
        *credit,
    )


def matches(when: str, head: str = "", **facts: Any) -> bool:
    return bool(judge(ruleset(f"id: r, when: '{when}', then: flag", head=head), **facts).reasons)


@pytest.mark.parametrize(
    ("effects", "action", "final"),
    [
        ([], Action.APPROVE, False),
        (["flag"], Action.FLAG, False),
        (["flag", "block"], Action.BLOCK, False),
        (["flag", "block", "allow"], Action.APPROVE, False),
        (["block, final: true", "allow"], Action.BLOCK, True),
        (["allow", "block, final: true", "flag"], Action.BLOCK, True),
        (["block, final: true, mode: shadow", "flag"], Action.FLAG, False),
        (["allow, mode: shadow", "block"], Action.BLOCK, False),
        (["block, mode: shadow"], Action.APPROVE, False),
    ],
)
def test_a_final_block_outranks_allow_which_outranks_block_which_outranks_flag(
    effects: list[str], action: Action, final: bool
) -> None:
    rules = [f"id: r-{number}, when: amount > 0, then: {effect}" for number, effect in enumerate(effects)]
    verdict = judge(ruleset(*rules, "id: no, when: amount > 6, then: block, final: true"))
    assert (verdict.action, verdict.final) == (action, final)


def test_every_match_is_reported_in_the_order_of_the_file_and_shadow_rules_apart() -> None:
    verdict = judge(
        ruleset(
            "id: one, when: amount > 1, then: flag, mode: shadow, reason: TRIAL",
            "id: two, when: amount > 2, then: allow",
            "id: three, when: amount > 9, then: block",
            "id: fo-ur, when: hour < 5, then: block",
        )
    )
    assert verdict.reasons == [
        Reason("two", "TWO", "approve", "amount", 500, 200, None),
        Reason("fo-ur", "FO_UR", "block", "hour", 2, 5, None),
    ]
    assert verdict.shadow == [Reason("one", "TRIAL", "flag", "amount", 500, 100, None)]


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("count(ip, 1h) > 2", ("count(ip, 1h)", 7, 2, 1_000)),
        ("2 < count(ip, 1h)", ("count(ip, 1h)", 7, 2, 1_000)),
        ("hour < 5 and count(ip, 1h) > 2", ("count(ip, 1h)", 7, 2, 1_000)),
        ("count(ip, 1h) > 2 and count(ip, 1h) > 3", ("count(ip, 1h)", 7, 2, 1_000)),
        ("count(ip, 1h) > 2 or count(ip, 1h) > 3", ("count(ip, 1h)", 7, 2, 2_000)),
        ("count(ip, 1h) > 2 or hour < 5", ("count(ip, 1h)", 7, 2, None)),
        ("count(ip, 1h) > 2 or count(ip, 1h) > 90", ("count(ip, 1h)", 7, 2, 1_000)),
        ("count(ip, 1h) < 9", ("count(ip, 1h)", 7, 9, None)),
        ("count(ip, 1h) > 2.5", ("count(ip, 1h)", 7, 2.5, None)),
        ("anomaly > 0.5", ("anomaly", 0.75, 0.5, None)),
        ("amount > available_credit", ("amount", 500, 100, None)),
        ("amount > credit_limit * 0.5", ("amount", 500, 150.0, None)),
        ('mcc in ["5411"]', ("mcc", "5411", '["5411"]', None)),
        ("merchant_id in @trusted", ("merchant_id", "m-1", "@trusted", None)),
        ("attributes.vip == true", ("attributes.vip", "true", "true", None)),
        ("attributes.vip", (None, None, None, None)),
        ("not (hour > 5)", (None, None, None, None)),
        ("is_missing(device_id)", (None, None, None, None)),
    ],
)
def test_a_match_is_reported_with_what_decided(when: str, told: tuple[object, ...]) -> None:
    compiled = ruleset(f"id: r, when: '{when}', then: flag", head="lists: {trusted: [m-1]}")
    clearings = {Clearing(">", 2): 1_000, Clearing(">", 3): 2_000, Clearing(">", 90): None}
    clears = {
        feature.name: tuple(clearings[clearing] for clearing in feature.clearings) for feature in compiled.plan.features
    }
    verdict = judge(
        compiled,
        {"count(ip, 1h)": 7},
        clears,
        anomaly=0.75,
        credit=(100, 300),
        ip="203.0.113.7",
        attributes={"vip": True},
    )
    assert [reason[3:] for reason in verdict.reasons] == [told]


@pytest.mark.parametrize(
    "unknown",
    [
        'device_id == "d"',
        "count(device_id, 1h) > 0",
        "anomaly >= 0",
        "available_credit < 5",
        "instalments in [1, 2]",
        "attributes.x",
        "attributes.x > 1",
        "amount / 0 > 1",
        'attributes.n == "1"',
        "amount * attributes.x > 1",
    ],
)
def test_what_is_unknown_matches_neither_as_it_is_nor_negated(unknown: str) -> None:
    facts: dict[str, Any] = {"attributes": {"n": 1}}
    for when in (unknown, f"not ({unknown})", f"{unknown} and amount > 0", f"not ({unknown} or amount > 6)"):
        assert not matches(when, **facts)
    assert matches(f"{unknown} or amount > 0", **facts)
    assert matches(f"not ({unknown} and amount > 6)", **facts)


def test_is_missing_asks_for_what_is_unknown() -> None:
    assert matches("is_missing(device_id) and not is_missing(mcc) and is_missing(attributes.x)")
    assert matches("is_missing(amount / 0) and is_missing(count(ip, 1h)) and not is_missing(amount)")


def test_lists_hold_texts_numbers_and_amounts_as_what_is_looked_for_in_them() -> None:
    head = "lists: {mixed: [5411, m-1], numbers: [5, 7], none: []}"
    assert matches("mcc in @mixed and merchant_id in @mixed", head)
    assert matches("amount in @numbers and amount in [5.00] and amount not in [500]", head)
    assert matches('attributes.n in @numbers and attributes.t not in ["x"]', head, attributes={"n": 7, "t": "y"})
    assert matches("attributes.n in [-7, 1.5]", head, attributes={"n": -7})
    assert matches("mcc not in @none and not (mcc in @none)", head)
    # One type does not stand for another: true is not 1, and "7" is not 7.
    for value in (True, "7"):
        assert not matches("attributes.n in @numbers", head, attributes={"n": value})
        assert not matches("attributes.n in [1]", head, attributes={"n": value})
        assert not matches("attributes.n not in [1]", head, attributes={"n": value})


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("amount == 5 or hour == 99 and hour == 98", True),
        ("(amount == 5 or hour == 99) and hour == 98", False),
        ("not hour == 2 or hour == 2", True),
        ("not (hour == 2 or hour == 2)", False),
        ("hour + 2 * 3 == 8", True),
        ("(hour + 2) * 3 == 12", True),
        ("10 - 4 - 3 == 3", True),
        ("-hour + 3 == 1", True),
        ("- 2 * -hour == 4", True),
        ("8 / 4 / 2 == 1", True),
        ("day_of_week == 1", True),
        ("amount == 5 and amount < 1_000", True),
    ],
)
def test_operators_bind_as_in_arithmetic_and_not_before_and_before_or(when: str, expected: bool) -> None:
    assert matches(when) is expected


@pytest.mark.parametrize(
    ("currency", "literal", "minor"),
    [
        ("CNY", "20_000.00", 2_000_000),
        ("CNY", "20000", 2_000_000),
        ("CNY", "0.5", 50),
        ("CNY", "19.99", 1_999),
        ("JPY", "20_000", 20_000),
        ("JPY", "20_000.0", 20_000),
        ("BHD", "1.234", 1_234),
        ("BHD", "0.1", 100),
        ("CLF", "0.0001", 1),
        ("CNY", "999_999_999_999_999.99", 99_999_999_999_999_999),
    ],
)
def test_amounts_are_written_in_major_units_of_the_currency(currency: str, literal: str, minor: int) -> None:
    compiled = ruleset(f"id: r, when: available_credit <= {literal}, then: flag", head=f"currency: {currency}")
    assert judge(compiled, credit=(minor, None)).reasons[0].threshold == minor
    assert not judge(compiled, credit=(minor + 1, None)).reasons
    negative = ruleset(f"id: r, when: available_credit >= -{literal}, then: flag", head=f"currency: {currency}")
    assert judge(negative, credit=(-minor, None)).reasons
    assert not judge(negative, credit=(-minor - 1, None)).reasons


@pytest.mark.parametrize(
    ("text", "length_ms", "shown"),
    [
        ("30s", 30_000, "30s"),
        ("90s", 90_000, "90s"),
        ("10m", 600_000, "10m"),
        ("60m", 3_600_000, "1h"),
        ("24h", DAY_MS, "24h"),
        ("1d", DAY_MS, "24h"),
        ("2d", 2 * DAY_MS, "2d"),
        ("48h", 2 * DAY_MS, "2d"),
        ("1_000s", 1_000_000, "1000s"),
    ],
)
def test_durations_are_a_number_and_a_unit_and_shown_in_one_form(text: str, length_ms: int, shown: str) -> None:
    assert duration_ms(text) == length_ms
    assert duration_text(length_ms) == shown


def test_one_feature_is_measured_for_all_rules_that_write_it_in_other_ways() -> None:
    compiled = ruleset(
        "id: r1, when: 'count((ip, account_id), 60m) > 1', then: flag",
        "id: r2, when: 'count( (account_id,ip),1h )>2', then: flag",
    )
    assert [feature.name for feature in compiled.plan.features] == ["count((account_id, ip), 1h)"]


LAID_OUT = """
# Two ways to write the same.
ruleset:   'a'
currency: CNY   # the default

rules:
  - when: >-
      amount > 5
    id: b
    then: "flag"   # why
    mode: live
"""


def test_the_version_is_that_of_the_content_and_not_of_comments_and_layout() -> None:
    plain = ruleset("id: b, when: amount > 5, then: flag")
    assert compile_ruleset(LAID_OUT).version == plain.version
    for change in (
        ("amount > 5", "amount > 6"),
        ("flag", "block"),
        ("id: b", "id: c"),
        ("CNY", "JPY"),
        ("live", "shadow"),
    ):
        assert compile_ruleset(LAID_OUT.replace(*change, 1)).version != plain.version
