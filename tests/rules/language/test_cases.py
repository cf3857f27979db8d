"""Cases as they are read: which purchases are sent, and when. What is wrong with one is in `golden/files.txt`."""

from __future__ import annotations

from datetime import datetime

import pytest

from models.account import CreditLimit
from models.purchase import Instalments, Location
from rules.language.cases import Case
from rules.language.check import check_text

HEAD = """\
ruleset: a
currency: CNY
time_zone: Asia/Shanghai
rates: {JPY: 0.05}
rules:
- {id: burst, when: amount > 5, then: flag}
cases:
"""
NOON_MS = 1_767_585_600_000


def case_of(text: str, head: str = HEAD) -> Case:
    result = check_text(head + text, "f.yaml")
    assert result.compiled is not None, result.diagnostics
    (case,) = result.cases
    return case


def sent(purchases: str) -> list[tuple[str, int]]:
    """Transaction ids and milliseconds since noon of the purchases that a case sends."""
    case = case_of(f"- {{name: c, expect: {{action: flag}}, purchases: [{purchases}]}}\n")
    return [(step.purchase.transaction_id, step.purchase.event_time - NOON_MS) for step in case.steps]


def test_what_is_left_out_has_a_value() -> None:
    case = case_of("- name: c\n  purchases: [{amount: 20}]\n  expect: {action: flag}\n")
    (step,) = case.steps
    assert step.purchase.model_dump(exclude_none=True) == {
        "transaction_id": "t-1",
        "account_id": "a-1",
        "amount": 2_000,
        "currency": "CNY",
        "event_time": NOON_MS,
        "merchant_id": "m-1",
        "mcc": "0000",
        "attributes": {},
    }
    assert datetime.fromisoformat("2026-01-05T12:00:00+08:00").timestamp() * 1000 == NOON_MS
    assert (case.name, case.line, step.line) == ("c", 8, 10)


def test_all_fields_of_a_purchase_can_be_given() -> None:
    fields = (
        "{amount: 20, currency: JPY, account_id: a-9, merchant_id: m-9, mcc: '5411', card_id: c-1, device_id: d-1, "
        "ip: '::ffff:203.0.113.7', country: CN, channel: web, location: {lat: 1.5, lon: 2}, transaction_id: x-1, "
        "instalments: {count: 3}, attributes: {n: 1.5, b: true, t: web}}"
    )
    (step,) = case_of(f"- {{name: c, expect: {{action: flag}}, purchases: [{fields}]}}\n").steps
    purchase = step.purchase
    assert (purchase.amount, purchase.currency, purchase.ip) == (20, "JPY", "203.0.113.7")
    assert purchase.location == Location(lat=1.5, lon=2.0)
    assert purchase.instalments == Instalments(count=3, interval_days=30)
    assert purchase.attributes == {"n": 1.5, "b": True, "t": "web"}
    assert (purchase.transaction_id, purchase.card_id, purchase.channel) == ("x-1", "c-1", "web")


@pytest.mark.parametrize(
    ("purchases", "expected"),
    [
        ("{amount: 1}, {amount: 1}", [("t-1", 0), ("t-2", 1_000)]),
        ("{amount: 1}, {amount: 1, after: 10m}", [("t-1", 0), ("t-2", 600_000)]),
        ("{amount: 1}, {amount: 1, after: 0s}", [("t-1", 0), ("t-2", 0)]),
        ("{amount: 1, at: 2026-01-05T13:00:00}, {amount: 1}", [("t-1", 3_600_000), ("t-2", 3_601_000)]),
        ("{amount: 1, at: 2026-01-05t04:00:00.250z}", [("t-1", 250)]),
        ("{amount: 1, at: '2026-01-05 05:00:00+01:00'}", [("t-1", 0)]),
        ("{amount: 1}, {amount: 1, at: 2026-01-05T11:59:59}", [("t-1", 0), ("t-2", -1_000)]),
        ("{amount: 1, repeat: 3, after: 1m}", [("t-1", 0), ("t-2", 60_000), ("t-3", 120_000)]),
        (
            "{amount: 1}, {amount: 1, repeat: 2, at: 2026-01-05T13:00:00, after: 1m}",
            [("t-1", 0), ("t-2", 3_600_000), ("t-3", 3_660_000)],
        ),
        ("{amount: 1}, {amount: 1, repeat: 2, after: 1m}", [("t-1", 0), ("t-2", 60_000), ("t-3", 120_000)]),
        ("{amount: 1, transaction_id: t-2}, {amount: 1, repeat: 2}", [("t-2", 0), ("t-1", 1_000), ("t-3", 2_000)]),
    ],
)
def test_purchases_follow_one_another(purchases: str, expected: list[tuple[str, int]]) -> None:
    assert sent(purchases) == expected


def test_something_is_expected_of_the_last_and_of_those_that_say_so() -> None:
    case = case_of(
        "- name: c\n"
        "  purchases:\n"
        "  - {amount: 1, repeat: 2, expect: {action: approve}}\n"
        "  - {amount: 1}\n"
        "  - {amount: 9}\n"
        "  expect: {action: flag, reasons: [BURST], shadow: []}\n"
    )
    assert [(step.expect.action, step.line) if step.expect else None for step in case.steps] == [
        None,
        ("approve", 10),
        None,
        ("flag", 13),
    ]


def test_limits_are_in_the_rulesets_currency_and_there_before_the_first_purchase() -> None:
    case = case_of(
        "- name: c\n"
        "  accounts: {a-1: {credit_limit: 1_000.50}, a-2: {credit_limit: 0}}\n"
        "  purchases: [{amount: 1}, {amount: 1, account_id: a-2}]\n"
        "  expect: {action: flag}\n"
    )
    assert case.limits == (
        CreditLimit(account_id="a-1", credit_limit=100_050, currency="CNY", event_time=NOON_MS),
        CreditLimit(account_id="a-2", credit_limit=0, currency="CNY", event_time=NOON_MS),
    )


def test_cases_leave_the_version_of_a_ruleset_alone() -> None:
    with_case = check_text(f"{HEAD}- {{name: c, purchases: [{{amount: 1}}], expect: {{action: flag}}}}\n", "f.yaml")
    without = check_text(HEAD.removesuffix("cases:\n"), "f.yaml")
    assert with_case.compiled is not None
    assert without.compiled is not None
    assert with_case.compiled.version == without.compiled.version
