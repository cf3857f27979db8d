"""Whatever text comes, it is a ruleset or a clear error; whatever facts come, the compiled function gives a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decision import Action
from models.purchase import Purchase
from rules.language.check import check_text
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.language.diagnostics import RulesetError
from rules.language.parser import MAX_DEPTH

HEAD = "ruleset: a\nlists: {x: [a, b]}\nrules:\n- id: b\n  then: flag\n  when: "
EXAMPLE = (Path(__file__).resolve().parents[3] / "examples" / "rules" / "checkout.yaml").read_text(encoding="utf-8")
GARBAGE = settings(max_examples=400, deadline=None, derandomize=True)


def rule(when: str) -> str:
    return f"{HEAD}>-\n    {when}\n"


def verdict(compiled: CompiledRuleset, attributes: dict[str, object] | None = None) -> Action:
    purchase = Purchase(
        transaction_id="t",
        account_id="a",
        amount=500,
        currency="CNY",
        event_time=1_792_792_800_000,
        merchant_id="m",
        mcc="5411",
        attributes=attributes or {},  # pyright: ignore[reportArgumentType]  # what a sender may send, as JSON gives it
    )
    return compiled.evaluate(purchase, 500, [], [], 0.5, None, None).action


TOO_DEEP = {
    "not": "not " * 900 + "amount > 5",
    "signs": "amount > " + "-" * 2_000 + "hour",
    "sums": "amount > " + "amount + " * 400 + "amount",
    "and in or": "amount > 5 and (hour > 3 or (" * 100 + "hour > 1" + "))" * 100,
    "calls": "count(" * 500 + "ip" + ")" * 500,
}


@pytest.mark.parametrize("when", TOO_DEEP.values(), ids=TOO_DEEP)
def test_what_is_nested_too_deeply_is_refused_with_its_place(when: str) -> None:
    with pytest.raises(RulesetError, match=f"nested too deeply: {MAX_DEPTH} levels at most") as caught:
        compile_ruleset(rule(when))
    assert caught.value.diagnostics[0].line == 7


def test_the_deepest_that_is_allowed_is_compiled_and_judged() -> None:
    depth = MAX_DEPTH // 2 - 1
    alternating = "amount > 5 and (hour > 30 or (" * depth + "hour >= 0" + "))" * depth
    assert verdict(compile_ruleset(rule(alternating))) is Action.APPROVE
    assert verdict(compile_ruleset(rule(alternating.replace("amount > 5", "amount >= 5")))) is Action.FLAG
    assert verdict(compile_ruleset(rule("not not " * depth + "amount >= 5"))) is Action.FLAG
    assert verdict(compile_ruleset(rule("amount <= amount" + " + 1" * (2 * depth)))) is Action.FLAG


def test_parentheses_are_no_levels_and_a_flat_condition_may_be_as_long_as_a_condition_may_be() -> None:
    assert verdict(compile_ruleset(rule("(" * 1_900 + "amount >= 5" + ")" * 1_900))) is Action.FLAG
    flat = " or ".join(["hour > 30"] * 300 + ["amount >= 5"])
    assert verdict(compile_ruleset(rule(flat))) is Action.FLAG
    with pytest.raises(RulesetError, match="4000 characters"):
        compile_ruleset(rule("(" * 2_000 + "amount >= 5" + ")" * 2_000))


@pytest.mark.parametrize(
    "condition",
    [
        "attributes.n * 1.5 > 0",
        "attributes.n / 0.5 > 0",
        "attributes.n * attributes.n > 0",
        "attributes.n - attributes.n * 0.5 > 0",
        "amount * attributes.n > 0",
        "attributes.n > 0",
        "attributes.n / 0 > 0",
    ],
)
def test_what_is_too_large_for_a_number_is_unknown(condition: str) -> None:
    matches, negated = compile_ruleset(rule(condition)), compile_ruleset(rule(f"not ({condition})"))
    for huge in (10**400, -(10**400), 2**63):
        assert verdict(matches, {"n": huge}) is Action.APPROVE
        assert verdict(negated, {"n": huge}) is Action.APPROVE


def test_infinity_and_what_is_no_number_are_unknown() -> None:
    assert verdict(compile_ruleset(rule("attributes.n * 10 > 0")), {"n": 1.7e308}) is Action.APPROVE
    inf = compile_ruleset(rule("attributes.n * 10 - attributes.n * 10 == 0 or is_missing(attributes.n * 10)"))
    assert verdict(inf, {"n": 1.7e308}) is Action.FLAG


WORDS = st.sampled_from(
    "amount hour mcc ip count sum distinct since account_id 10m 1h today approved fraud and or not in @x attributes.a"
    " is_missing true ( ) [ ] , . + - * / == != < <= > >= = & 5 0.01 1_000 \"a\" 'b' @ # : { } \n \t".split(" ")
)
PARTS = st.sampled_from(
    [
        *(
            "ruleset: a\n",
            "rules:\n",
            "- id: b\n",
            "  when: amount > 5\n",
            "  then: flag\n",
            "lists:\n",
            "  x: [1, a]\n",
        ),
        *("rates: {USD: ", "1e400", ".inf", ".nan", "}\n", "\t", "&x ", "*x", "<<: ", "? ", "- ", ": ", "[", "{"),
        *("|\n", ">-\n", "'", '"', "\\ud800", "2024-13-01", "!!int ", "%YAML 1.1\n---\n", "---\n", "...\n", "0x1F"),
        *("0o9", "1:30", "~", "true", "null", "\ufeff", "\x85", "\u2028", "\x00", "\U000103ff", " ", "\r\n"),
    ]
)

VALUES = st.sampled_from(
    "$p $device_burst 0s 999999d 0m 9999999d 1e-400 1e400 -1 0 .5 2026-01-05 2026-01-05T24:00:00Z 12:00 {} [] a-1 é "
    "at: after: repeat: expect: try: value: amount: reasons: shadow: block 99999999999999999999999999999999".split(" ")
)


@GARBAGE
@given(text=st.one_of(st.text(max_size=200), st.lists(PARTS, max_size=25).map("".join)))
def test_any_text_as_a_rule_file_is_a_ruleset_or_a_ruleset_error(text: str) -> None:
    assert_checked(text)


@GARBAGE
@given(when=st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=15).map(" ".join)), block=st.booleans())
def test_any_text_as_a_condition_is_a_condition_or_a_ruleset_error(when: str, block: bool) -> None:
    assert_checked(rule(when) if block else HEAD + when)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_rule_file_with_any_change_is_a_ruleset_or_a_ruleset_error(data: st.DataObject) -> None:
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 3))):
        start, cut = data.draw(st.integers(0, len(text))), data.draw(st.sampled_from([0, 0, 1, 4]))
        text = text[:start] + data.draw(st.one_of(PARTS, WORDS, VALUES)) + text[start + cut :]
    assert_checked(text)


def assert_checked(text: str) -> None:
    result = check_text(text, "f.yaml")
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
    for diagnostic in result.diagnostics:
        assert diagnostic.render()
        assert 1 <= diagnostic.line <= lines
        assert 1 <= diagnostic.column <= len(diagnostic.source_line) + 1
    if result.compiled is None:
        assert any(diagnostic.severity == "error" for diagnostic in result.diagnostics)
    else:
        assert all(diagnostic.severity == "warning" for diagnostic in result.diagnostics)
