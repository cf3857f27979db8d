"""Parameters: a name stands for a literal, in every way; other values; the file's text with other values."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.parameter import ParamValue, kind_of
from rules.language.check import check_text
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.language.diagnostics import RulesetError
from rules.language.params import with_values
from tests.rules.language.generated import RuleFileText, rule_files, worlds
from tests.rules.language.test_differential import evaluated
from tests.rules.language.test_verdicts import judge

DRAWN = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
LITERAL = re.compile(r'"[^"]*"|(?<![\w.$])[0-9][0-9_]*(?:\.[0-9_]+)?[smhd]?(?!\w)')

SOURCE = """\
# The limits of the checkout.
ruleset: checkout
params:
  burst: {value: 5, try: [3, 4, 5]}   # purchases
  reach:
    value: 10m
    try: [5m, 10m, 1h]
    description: how far back
  large: 500.00  # an amount
  "where": "m-1"
  factor: {try: [0.5], value: 0.80}
rules:
  - id: device-burst
    when: count(device_id, $reach) > $burst and amount > $large and merchant_id in [$where, "m-2"]
    then: block
  - {id: share, when: "amount > credit_limit * $factor", then: flag}
"""


def compiled_with(**values: ParamValue) -> CompiledRuleset:
    return compile_ruleset(SOURCE, "f.yaml", values)


def errors_of(source: str, **values: ParamValue) -> str:
    with pytest.raises(RulesetError) as caught:
        compile_ruleset(source, "f.yaml", values)
    return str(caught.value)


def rules_with(params: str, when: str) -> str:
    return f"ruleset: a\nparams: {params}\nrules:\n- id: r\n  then: flag\n  when: >-\n    {when}\n"


# -- a name stands for a literal --------------------------------------------------------------------


@DRAWN
@given(data=st.data(), file=rule_files())
def test_a_ruleset_with_names_for_its_literals_decides_the_same(data: st.DataObject, file: RuleFileText) -> None:
    values: dict[str, str] = {}

    def named(found: re.Match[str]) -> str:
        if not data.draw(st.booleans()):
            return found[0]
        values[f"p{len(values)}"] = found[0]
        return f"$p{len(values) - 1}"

    lines = file.text.splitlines()
    in_condition = [number for number, line in enumerate(lines) if line.strip() == "when: >-"]
    for number in in_condition:
        lines[number + 1] = LITERAL.sub(named, lines[number + 1])
    text = "\n".join([*lines, "params:" if values else "", *(f"  {name}: {value}" for name, value in values.items())])
    replaced = compile_ruleset(text)
    assert replaced.plan.features == file.compiled.plan.features
    for _ in range(3):
        world = data.draw(worlds(file))
        told, wanted = evaluated(replaced, world), evaluated(file.compiled, world)
        assert told[:2] == wanted[:2]
        for one, other in zip(told.reasons + told.shadow, wanted.reasons + wanted.shadow, strict=True):
            assert one._replace(feature=None, threshold=None) == other._replace(feature=None, threshold=None)


@pytest.mark.parametrize(
    ("value", "when"),
    [
        ("5", "hour > $p"),
        ("-5", "available_credit > $p"),
        ("5", "available_credit > -$p"),
        ("0.97", "anomaly > $p"),
        ("999_999_999_999_999.99", "available_credit > $p"),
        ("10m", "count(ip, $p) > 3"),
        ("10m", "since(ip) < $p"),
        ("10m", "since(ip) > -$p"),
        ('"5411"', "mcc == $p"),
        ("m-1", "merchant_id in [$p, 'm-2']"),
        ("'it\"s'", "attributes.x == $p"),
        ("2", "attributes.n in [1, -$p]"),
        ("2", "$p < hour"),
        ("0.5", "amount * $p > 3"),
    ],
)
def test_a_parameter_is_typed_and_measured_as_the_literal_that_it_is(value: str, when: str) -> None:
    literal = value if value[0] in "\"'" or value[-1] in "mhds" or value[0] in "-0123456789" else f'"{value}"'
    named = compile_ruleset(rules_with(f"{{p: {value}}}", when))
    plain = compile_ruleset(rules_with("{}", when.replace("$p", literal)))
    assert named.plan.features == plain.plan.features
    assert str(named.conditions).replace(literal.replace("_", ""), literal) == str(plain.conditions)


def test_a_reason_shows_the_value_and_never_the_name() -> None:
    verdict = judge(
        compiled_with(), {"count(device_id, 10m)": 9}, amount=60_000, device_id="d-1", credit=(None, 70_000)
    )
    assert [(reason.feature, reason.threshold) for reason in verdict.reasons] == [
        ("count(device_id, 10m)", 5),
        ("amount", 56_000.0),
    ]
    listed = compile_ruleset(rules_with("{p: m-1}", 'merchant_id in ["m-9", $p]'))
    assert judge(listed).reasons[0].threshold == '["m-9", "m-1"]'


def test_a_dollar_in_a_text_is_a_dollar() -> None:
    compiled = compile_ruleset(rules_with("{}", 'attributes.x == "$p"'))
    assert judge(compiled, attributes={"x": "$p"}).reasons


# -- what is wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "when", "said"),
    [
        (
            "{burst: 5}",
            "count(ip, 1h) > $brust",
            "f.yaml:7:21: error: unknown parameter `$brust`\n"
            " 7 |     count(ip, 1h) > $brust\n"
            "   |                     ^^^^^^\n"
            "   = did you mean `$burst`?",
        ),
        (
            "{}",
            "hour > $h",
            "f.yaml:7:12: error: unknown parameter `$h`\n 7 |     hour > $h\n   |            ^^\n"
            "   = define it under `params:`",
        ),
        (
            "{p: 10}",
            "count(ip, $p) > 5",
            "f.yaml:7:15: error: a window is a duration like `10m`, or today, this_week, this_month\n"
            " 7 |     count(ip, $p) > 5\n   |               ^^\n   = give it a unit, like `10m`",
        ),
        (
            "{p: 5.001}",
            "amount > $p",
            "f.yaml:7:14: error: 5.001 has more decimals than the ruleset's currency\n"
            " 7 |     amount > $p\n   |              ^^\n   = give 2 at most",
        ),
        (
            "{p: x}",
            "hour in [1, -$p]",
            "f.yaml:7:17: error: `-` is for numbers, and this is a text\n"
            " 7 |     hour in [1, -$p]\n   |                 ^^^",
        ),
        (
            "{}",
            "hour > $",
            "f.yaml:7:12: error: unexpected `$`\n 7 |     hour > $\n   |            ^\n   = a parameter is `$name`",
        ),
    ],
)
def test_what_is_wrong_with_a_parameter_in_a_condition_is_said_with_its_place(
    params: str, when: str, said: str
) -> None:
    assert errors_of(rules_with(params, when)) == said


def test_a_parameter_that_cannot_be_read_makes_no_second_error_in_the_rules() -> None:
    said = errors_of(rules_with("{Wrong: 5, p: [1]}", "hour > $p and hour < $Wrong"))
    assert said.count("error:") == 2
    assert "f.yaml:7" not in said


def test_a_parameter_that_no_rule_asks_for_is_warned_of() -> None:
    (warning,) = check_text(rules_with("{idle: 5, p: 6}", 'hour > $p and channel == "$idle"'), "f.yaml").diagnostics
    assert warning.render() == (
        "f.yaml:2:10: warning: no rule asks for the parameter `idle`\n"
        " 2 | params: {idle: 5, p: 6}\n   |          ^^^^\n   = take it out, or ask for `$idle`"
    )


def test_the_linter_sees_the_value() -> None:
    (warning,) = check_text(rules_with("{p: 24}", "hour > $p"), "f.yaml").diagnostics
    assert warning.message == "this rule never matches: `hour > $p` is never true"


# -- versions ---------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_values_alone() -> None:
    version = compiled_with().version
    for same in (
        ("try: [3, 4, 5]", "try: [9]"),
        ("{value: 5, try: [3, 4, 5]}", "5"),
        ("how far back", "reach"),
        ("500.00", "500"),
    ):
        assert compile_ruleset(SOURCE.replace(*same)).version == version
    for other in (("value: 5,", "value: 4,"), ("500.00", "500.01"), ("10m\n", "11m\n"), ('"m-1"', '"m-3"')):
        assert compile_ruleset(SOURCE.replace(*other)).version != version


def test_a_ruleset_without_parameters_keeps_the_version_it_had() -> None:
    source = "ruleset: a\nrules:\n- {id: b, when: amount > 5, then: flag}\n"
    assert compile_ruleset(source).version == compile_ruleset(f"{source}params: {{}}\n").version == "9dc11943916daf57"


# -- other values -----------------------------------------------------------------------------------


def test_given_values_stand_in_for_those_of_the_file() -> None:
    compiled = compiled_with(burst=Decimal(7), reach="1h")
    assert compiled.plan.feature_names[0] == "count(device_id, 1h)"
    assert compiled.document.params["burst"].value == Decimal(7)
    assert not judge(compiled, {"count(device_id, 1h)": 7}, amount=60_000, device_id="d-1").reasons
    assert judge(compiled, {"count(device_id, 1h)": 8}, amount=60_000, device_id="d-1").reasons


def test_given_values_that_do_not_fit_are_refused() -> None:
    assert "unknown parameter `bursts`" in errors_of(SOURCE, bursts=Decimal(5))
    assert "did you mean `burst`?" in errors_of(SOURCE, bursts=Decimal(5))
    assert "`burst` is a number, and 10m is a duration" in errors_of(SOURCE, burst="10m")
    assert "a window is 1s to 90d long" in errors_of(SOURCE, reach="91d")
    assert "a parameter is a number" in errors_of(SOURCE, burst=Decimal("NaN"))


def test_a_file_with_other_values_differs_in_these_alone() -> None:
    changed = with_values(
        SOURCE, {"burst": Decimal(7), "reach": "1h", "large": Decimal("1.50"), "where": 'a "b"', "factor": Decimal(1)}
    )
    assert changed == (
        SOURCE.replace("value: 5,", "value: 7,")
        .replace("value: 10m", "value: 1h")
        .replace("500.00", "1.50")
        .replace('"m-1"', r'"a \"b\""')
        .replace("value: 0.80", "value: 1")
    )


def test_thousands_are_told_apart_where_they_were() -> None:
    grouped = SOURCE.replace("500.00", "20_000.00")
    assert with_values(grouped, {"large": Decimal("1234567.50")}) == SOURCE.replace("500.00", "1_234_567.50")
    assert with_values(grouped, {"large": Decimal("10.00")}) == SOURCE.replace("500.00", "10.00")


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        SOURCE.replace("500.00", "5_00.00"),
        SOURCE.replace("\n", "\r\n"),
        "\ufeff" + SOURCE,
        SOURCE.replace('"m-1"', ">-\n    m-1\n\n"),
        SOURCE.replace('"m-1"', "m-1"),
        SOURCE.replace('"m-1"', "'it''s'"),
    ],
)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_text_with_other_values_compiles_to_what_those_values_give(source: str, data: st.DataObject) -> None:
    texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\"'"), max_size=8)
    drawn: dict[str, st.SearchStrategy[ParamValue]] = {
        "burst": st.integers(-9, 10**14).map(Decimal),
        "reach": st.sampled_from(["1s", "90d", "1_0m"]),
        "large": st.decimals(0, 10**6, places=2),
        "where": texts.filter(lambda text: kind_of(text) == "text"),
        "factor": st.decimals(0, 2, places=3),
    }
    values = {name: data.draw(drawn[name]) for name in data.draw(st.sets(st.sampled_from(sorted(drawn))))}
    changed = with_values(source, values)
    assert compile_ruleset(changed).version == compile_ruleset(source, params=values).version
    assert compile_ruleset(changed).conditions == compile_ruleset(source, params=values).conditions
    assert with_values(changed, {}) == changed


def test_the_text_of_what_is_no_rule_file_is_refused() -> None:
    with pytest.raises(RulesetError, match="unknown key"):
        with_values("ruleset: a\nrulez: []\nrules: []\n", {})
    with pytest.raises(RulesetError, match="unknown parameter `x`"):
        with_values(SOURCE, {"x": "y"})
