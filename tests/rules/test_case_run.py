"""Running cases: what passes, and what is told of what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.case_run import Failure, run_cases
from rules.language.check import check_text

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rules" / "checkout.yaml"
RULES = """\
ruleset: a
rules:
- {id: burst, when: "count(device_id, 10m) > 2", then: block}
- {id: sum, when: "sum(amount, account_id, 1h) > 100.00 or since(account_id) < 2s", then: flag}
- {id: credit, when: amount > available_credit, then: block, final: true}
- {id: trial, when: "not (channel == 'web')", then: block, mode: shadow}
cases:
"""


def failures_of(purchases: str, expect: str, accounts: str = "{}") -> list[Failure]:
    text = f"{RULES}- name: c\n  accounts: {accounts}\n  purchases: [{purchases}]\n  expect: {expect}\n"
    result = check_text(text, "f.yaml")
    assert result.compiled is not None, result.diagnostics
    return run_cases(result.compiled, result.cases)


@pytest.mark.parametrize(
    ("purchases", "expect"),
    [
        ("{amount: 5}", "{action: approve}"),
        ("{amount: 5}", "{action: approve, reasons: [], shadow: []}"),
        ("{amount: 5, device_id: d-1, repeat: 3, after: 5m}", "{action: approve, reasons: []}"),
        ("{amount: 5, device_id: d-1, repeat: 3, after: 4m}", "{action: block, reasons: [BURST]}"),
        ("{amount: 100}, {amount: 0.01, after: 1m}", "{action: flag, reasons: [SUM]}"),
        ("{amount: 100, device_id: d-1, repeat: 3}", "{action: block, reasons: [SUM, BURST]}"),
        ("{amount: 5, channel: app}", "{action: approve, shadow: [TRIAL]}"),
        ("{amount: 5, channel: app}", "{action: approve}"),
        ("{amount: 5, transaction_id: x}, {amount: 5, transaction_id: x, after: 0s}", "{action: approve, reasons: []}"),
    ],
)
def test_a_case_passes_where_the_last_decision_is_as_expected(purchases: str, expect: str) -> None:
    assert failures_of(purchases, expect) == []


def test_credit_is_there_before_the_first_purchase_and_used_by_it() -> None:
    accounts = "{a-1: {credit_limit: 9.00}}"
    assert failures_of("{amount: 5}", "{action: approve, reasons: []}", accounts) == []
    assert failures_of("{amount: 5}, {amount: 5, after: 1m}", "{action: block, reasons: [CREDIT]}", accounts) == []


@pytest.mark.parametrize(
    ("purchases", "expect", "failure"),
    [
        ("{amount: 5}", "{action: block}", Failure("c", 11, "t-1", "block", "approve []")),
        (
            "{amount: 50.50, repeat: 2, after: 1m}",
            "{action: block, reasons: [SUM]}",
            Failure(
                "c",
                11,
                "t-2",
                "block [SUM]",
                "flag [SUM: sum(amount, account_id, 1h) is 101.00 CNY, threshold 100.00 CNY]",
            ),
        ),
        (
            "{amount: 5}, {amount: 5, after: 1s}",
            "{action: approve, reasons: []}",
            Failure("c", 11, "t-2", "approve []", "flag [SUM: since(account_id) is 1s, threshold 2s]"),
        ),
        (
            "{amount: 5, channel: app}",
            "{action: approve, reasons: [], shadow: []}",
            Failure("c", 11, "t-1", "approve [], in shadow []", "approve [], in shadow [TRIAL]"),
        ),
        (
            "{amount: 5, expect: {action: flag}}, {amount: 5}",
            "{action: block}",
            Failure("c", 10, "t-1", "flag", "approve []"),
        ),
        (
            "{amount: 5, transaction_id: x}, {amount: 6, transaction_id: x}",
            "{action: approve}",
            Failure(
                "c",
                11,
                "x",
                "approve",
                "a dead letter (conflict: transaction x was decided with another body, amount, event_time differ: "
                "give it a new transaction_id)",
            ),
        ),
    ],
)
def test_a_case_that_fails_tells_what_was_expected_and_what_came(purchases: str, expect: str, failure: Failure) -> None:
    assert failures_of(purchases, expect) == [failure]


def test_each_case_begins_with_nothing() -> None:
    case = "- {{name: {}, purchases: [{{amount: 5, device_id: d-1, repeat: 2}}], expect: {{action: flag}}}}\n"
    result = check_text(RULES + "".join(case.format(name) for name in "abc"), "f.yaml")
    assert result.compiled is not None
    assert len(result.cases) == 3
    assert run_cases(result.compiled, result.cases) == []


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (("device_burst: {value: 5", "device_burst: {value: 4"), "the sixth purchase"),
        (("farm: {value: 3", "farm: {value: 4"), "a third account"),
        (("day_limit: {value: 20_000.00", "day_limit: {value: 21_000.00"), "a day's spending"),
        (("    final: true\n", ""), "credit that is not there"),
        (("distinct(account_id, device_id, 1h)", "distinct(account_id, device_id, 3h)"), "the same devices"),
        (("hour < 5", "hour < 3"), "a risky category"),
    ],
)
def test_a_change_of_the_example_rules_fails_the_case_that_is_about_it(change: tuple[str, str], fails: str) -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert change[0] in source
    result = check_text(source.replace(*change), "checkout.yaml")
    assert result.compiled is not None, result.diagnostics
    failures = run_cases(result.compiled, result.cases)
    assert [failure.case[: len(fails)] for failure in failures] == [fails]
