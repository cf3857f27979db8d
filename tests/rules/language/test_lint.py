"""The linter: what it names, where, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.language.check import check_text

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples" / "rules").glob("*.yaml"))
HEAD = "ruleset: a\nlists: {some: ['5411', m-1], none: []}\n"


def warnings_of(when: str, then: str = "flag", head: str = HEAD) -> list[str]:
    """What is said of a rule with this condition, but for what is said of the lists."""
    text = f"{head}rules:\n- id: r\n  then: {then}\n  when: >-\n    {when}\n"
    result = check_text(text, "f.yaml")
    assert result.compiled is not None, result.diagnostics
    assert all(warning.severity == "warning" for warning in result.diagnostics)
    said = [warning for warning in result.diagnostics if "no rule uses the list" not in warning.message]
    return [f"{warning.column - 4}+{warning.length} {warning.message}" for warning in said]


@pytest.mark.parametrize(
    ("when", "where", "why"),
    [
        ("amount > 5 and amount < 3", "16+10", "`amount > 5` and `amount < 3` are never true together"),
        ("amount >= 5 and hour < 3 and amount < 5", "30+10", "`amount >= 5` and `amount < 5` are never true together"),
        ("hour > 3 and hour < 4", "14+8", "`hour > 3` and `hour < 4` are never true together"),
        ("count(ip, 1h) < 0", "1+17", "`count(ip, 1h) < 0` is never true"),
        ("count(ip, 1h) < 1", "1+17", "`count(ip, 1h) < 1` is never true"),
        ("distinct(ip, ip, 1h) > 1", "1+24", "`distinct(ip, ip, 1h) > 1` is never true"),
        (
            "distinct(account_id, card_id, 1h) > 1",
            "1+37",
            "`distinct(account_id, card_id, 1h) > 1` is never true",
        ),
        ("sum(amount, ip, 1h) <= 0", "1+24", "`sum(amount, ip, 1h) <= 0` is never true"),
        ("since(ip) < 0s", "1+14", "`since(ip) < 0s` is never true"),
        ("anomaly > 1", "1+11", "`anomaly > 1` is never true"),
        ("hour > 23", "1+9", "`hour > 23` is never true"),
        ("hour == 2.5", "1+11", "`hour == 2.5` is never true"),
        ("day_of_week == 8", "1+16", "`day_of_week == 8` is never true"),
        ("instalments > 60", "1+16", "`instalments > 60` is never true"),
        ('channel == "a" and channel == "b"', "20+14", '`channel == "a"` and `channel == "b"` are never true together'),
        (
            'channel in ["a"] and channel not in ["a"]',
            "22+20",
            '`channel in ["a"]` and `channel not in ["a"]` are never true together',
        ),
        ("is_missing(amount)", "1+18", "`is_missing(amount)` is never true"),
        (
            "is_missing(ip) and count(ip, 1h) > 5",
            "20+17",
            "`is_missing(ip)` and `count(ip, 1h) > 5` are never true together",
        ),
        ("attributes.a and attributes.a > 5", "18+16", "`attributes.a` and `attributes.a > 5` are never true together"),
        ("amount > amount", "1+15", "`amount > amount` is never true"),
        (
            "amount > available_credit and amount <= available_credit",
            "31+26",
            "`amount > available_credit` and `amount <= available_credit` are never true together",
        ),
        ("count(ip, 1m) > count(ip, 1h)", "1+29", "`count(ip, 1m) > count(ip, 1h)` is never true"),
        ("mcc in []", "1+9", "`mcc in []` is never true"),
        ("mcc in @none", "1+12", "`mcc in @none` is never true"),
        ('mcc == "541"', "1+12", '`mcc == "541"` is never true'),
        ('country == "cn"', "1+15", '`country == "cn"` is never true'),
        ('currency == "EUR"', "1+17", '`currency == "EUR"` is never true'),
        ('ip == "203.0.113.007"', "1+21", '`ip == "203.0.113.007"` is never true'),
        ('device_id == "a b"', "1+18", '`device_id == "a b"` is never true'),
        ("amount / 0 > 5", "1+14", "`amount / 0 > 5` is never true"),
        ("1 > 2", "1+5", "`1 > 2` is never true"),
        ("not (hour <= 23)", "6+10", "`hour <= 23` is always true"),
        ("hour > 23 or anomaly > 1", "1+24", "`hour > 23 or anomaly > 1` is never true"),
        ('(hour > 5 or mcc == "1234") and hour < 3 and mcc != "1234"', "1+58", "its parts are never true together"),
    ],
)
def test_a_rule_that_never_matches_is_named_with_the_part_that_decides(when: str, where: str, why: str) -> None:
    assert warnings_of(when) == [f"{where} this rule never matches: {why}"]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("true", "1+4 this rule always matches: `true` is always true"),
        ("amount > 0", "1+10 this rule always matches: `amount > 0` is always true"),
        (
            "count(device_id, 1h) >= 1",
            "1+25 this rule always matches where `count(device_id, 1h)` is known: `count(device_id, 1h) >= 1`"
            " is always true",
        ),
        ("anomaly <= 1", "1+12 this rule always matches where `anomaly` is known: `anomaly <= 1` is always true"),
        ("not is_missing(mcc)", "5+15 this rule always matches: `is_missing(mcc)` is never true"),
        ("hour >= 5 or hour < 6", "14+8 this rule always matches: one of `hour >= 5` and `hour < 6` is always true"),
        ('country != "cn"', '1+15 this rule always matches where `country` is known: `country != "cn"` is always true'),
        (
            "anomaly >= 0 and available_credit <= available_credit",
            "1+53 this rule always matches where `anomaly` and `available_credit` are known: "
            "`anomaly >= 0 and available_credit <= available_credit` is always true",
        ),
        ("mcc not in []", "1+13 this rule always matches: `mcc not in []` is always true"),
    ],
)
def test_a_rule_that_always_matches_is_named_with_what_must_be_known_for_it(when: str, said: str) -> None:
    assert warnings_of(when) == [said]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("amount > 5 and hour >= 0", "16+9 this part is always true"),
        ("amount > 5 and anomaly <= 1", "16+12 this part is always true where `anomaly` is known"),
        ("amount > 5 or hour > 23", "15+9 this part is never true: `hour > 23` is never true"),
        ("hour > 5 and (amount > 5 or mcc in [])", "29+9 this part is never true: `mcc in []` is never true"),
        ("not (amount > 5 or hour > 23)", "20+9 this part is never true: `hour > 23` is never true"),
        ('mcc in ["5411", "57"]', "17+4 `mcc` is never '57'"),
        (
            "count(ip, 1h) > 512",
            "1+19 `max_rows` is 512: of an entity with more purchases the old ones are merged, and a count may be over"
            " by those at the window's edge",
        ),
        (
            "distinct(account_id, ip, 1h) >= 600",
            "1+35 `max_rows` is 512: of an entity with more purchases the old ones are merged, and not all different"
            " values are counted",
        ),
    ],
)
def test_a_part_that_decides_nothing_or_less_than_it_seems_is_named(when: str, said: str) -> None:
    assert warnings_of(when) == [said]


@pytest.mark.parametrize(
    ("when", "names"),
    [
        ('device_id in ["d-1"]', "`device_id`"),
        ('ip == "203.0.113.7" and amount < 50', "`ip`"),
        ("count(device_id, 24h) < 2 and hour > 5", "`count(device_id, 24h)`"),
        ('attributes.tier == "gold" or channel == "app"', "`attributes.tier`, `channel`"),
    ],
)
def test_an_allow_that_leans_on_what_the_buyer_controls_is_named(when: str, names: str) -> None:
    [said] = warnings_of(when, "allow")
    assert said == (f"1+{len(when)} this allows whoever sends the right values: the buyer's side controls {names}")
    assert not warnings_of(when, "block")
    assert not warnings_of(f"({when}) and age(account_id) > 30d", "allow")


@pytest.mark.parametrize(
    "when",
    [
        "amount > 5 and amount < 6",
        "hour > 3 and hour < 5",
        "count(ip, 1h) >= 2",
        "count(account_id, 1h, declined) >= 1",
        "count(account_id, 1h, approved) >= 1",
        "count(ip, 1h) < count(ip, 24h)",
        "count(ip, 24h) < count(ip, today)",
        "distinct(device_id, account_id, 1h) >= 1",
        "available_credit < 0",
        "anomaly >= 1",
        "is_missing(device_id) or count(device_id, 1h) > 5",
        "is_missing(amount / instalments)",
        'attributes.a == "x" or attributes.a > 5',
        "amount - amount > 0.5 or hour > 5",
        'ip != "203.0.113.7"',
        'currency == "CNY" and amount > 5',
        "count(ip, 1h) > 511",
        "since(account_id) > 0s",
    ],
)
def test_what_may_match_and_may_not_is_left_alone(when: str) -> None:
    expected = ["1+17"] if when.startswith("currency") else []
    assert [said.split()[0] for said in warnings_of(when)] == expected


def test_a_currency_that_has_a_rate_and_amounts_that_are_converted_are_left_alone() -> None:
    head = "ruleset: a\nrates: {USD: 7.1}\n"
    assert not warnings_of('currency == "USD" and amount > 0', head=head)


def test_the_example_rules_have_no_warnings() -> None:
    assert EXAMPLES
    for path in EXAMPLES:
        assert check_text(path.read_text(encoding="utf-8"), path.name).diagnostics == ()


def test_lists_that_nothing_uses_and_members_of_no_form_are_named_where_they_stand() -> None:
    text = (
        "ruleset: a\nlists:\n  idle: [a]\n  cats: ['5411', 742, 57x]\n"
        "rules:\n- {id: r, when: mcc in @cats, then: flag}\n- {id: s, when: mcc not in @cats, then: block}\n"
    )
    found = check_text(text, "f.yaml").diagnostics
    assert [(warning.line, warning.column, warning.message) for warning in found] == [
        (3, 3, "no rule uses the list `idle`"),
        (4, 18, "`mcc` is never '742'"),
        (4, 23, "`mcc` is never '57x'"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("then: flag", "then: flag", "same"),
        ("then: block", "then: flag", "one"),
        ("then: flag", "then: allow", "two"),
        ("then: allow", "then: block, final: true", "two"),
        ("then: flag, mode: shadow", "then: flag, mode: shadow", "same"),
        ("then: block, mode: shadow", "then: flag, mode: shadow", None),
        ("then: block", "then: block, mode: shadow", None),
    ],
)
def test_of_two_rules_with_one_condition_the_one_that_decides_nothing_is_named(
    first: str, second: str, said: str | None
) -> None:
    text = (
        "ruleset: a\nrules:\n"
        f'- {{id: one, when: \'hour < 5 and amount > 100 and mcc in ["5411", "5732"]\', {first}}}\n'
        f'- {{id: two, when: \'(mcc in ["5732", "5411"]) and 100.00 < amount and hour < 5\', {second}}}\n'
        "- {id: three, when: 'hour < 5 and amount > 101', then: flag}\n"
    )
    words = {"same": "rule `one` has the same condition and the same effect"}
    for decides, idle in (("one", "two"), ("two", "one")):
        which = f"where both match, `{decides}` decides, and `{idle}` nothing"
        words[decides] = f"`one` has the same condition: {which}"
    found = [(warning.line, warning.message) for warning in check_text(text, "f.yaml").diagnostics]
    assert found == ([(4, words[said])] if said else [])
