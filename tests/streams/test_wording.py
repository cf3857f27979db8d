"""Reasons and decisions in words: money in major units, durations in minutes, nothing in milliseconds."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from models.decision import Decision, Reason
from rules.language.compile import compile_ruleset
from streams.show import decision_line, reason_text
from streams.wording import duration, reason_words

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples" / "rules").glob("*.yaml"))


def words(feature: str | None, observed: float | str | None, threshold: float | str | None) -> str:
    return reason_words(Reason("r", "CODE", "block", feature, observed, threshold), "CNY")


@pytest.mark.parametrize(
    ("feature", "observed", "threshold", "told"),
    [
        ("count(account_id, 10m)", 6, 5, "6 purchases in 10 min, limit 5"),
        ("count(device_id, 24h)", 1, 0, "1 purchase on one device in 24 h, limit 0"),
        ("count(account_id, 1h, declined)", 3, 2, "3 declined purchases in 1 h, limit 2"),
        ("count((account_id, merchant_id), 30s)", 4, 3, "4 purchases at one merchant in 30 s, limit 3"),
        ("distinct(account_id, device_id, 1h)", 3, 3, "3 accounts on one device in 1 h, limit 3"),
        (
            "distinct(ip, (account_id, merchant_id), 7d)",
            2,
            1,
            "2 IPs at one merchant in 7 days, limit 1",
        ),
        (
            "sum(amount, merchant_id, 1h)",
            1_523_210,
            1_500_000,
            "15,232.10 CNY at one merchant in 1 h, limit 15,000.00",
        ),
        (
            "sum(amount, account_id, today, approved)",
            2_100_000,
            2_000_000,
            "21,000.00 CNY approved today, limit 20,000.00",
        ),
        ("count(device_id, 30d, fraud)", 1, 0, "1 fraudulent purchase on one device in 30 days, limit 0"),
        (
            "distinct(account_id, ip, 7d, fraud)",
            2,
            1,
            "2 accounts with fraudulent purchases from one IP in 7 days, limit 1",
        ),
        ("avg(amount, ip, this_week)", 4_512, 5_000, "45.12 CNY on average from one IP this week, limit 50.00"),
        ("max(amount, card_id, 30d)", 300, 200, "largest 3.00 CNY with one card in 30 days, limit 2.00"),
        ("since(account_id)", 12_000, 300_000, "12 s after the last purchase, limit 5 min"),
        ("age(device_id)", 0, 7_200_000, "device never seen before, limit 2 h"),
        ("age((device_id, ip))", 720_000, 7_200_000, "device and IP first seen 12 min before, limit 2 h"),
        ("amount", 231_200, 120_000, "amount 2,312.00 CNY, limit 1,200.00"),
        ("amount", 231_200, 120_000.5, "amount 2,312.00 CNY, limit 1,200.00"),
        ("amount / credit_limit", 0.9, 0.8, "amount / credit limit 0.900, limit 0.800"),
        ("anomaly", 0.99812, 0.995, "anomaly 0.998, limit 0.995"),
        ("hour", 3, 5, "hour 3, limit 5"),
        ("merchant_id", "m-1", "@risky", "merchant m-1 in @risky"),
        ("country", "NZ", "NZ", "country NZ"),
        ("count(ip, 1m) + count(ip, 5m)", 3, 2, "count(ip, 1m) + count(ip, 5m) 3, limit 2"),
        ("attributes.first_order", True, None, "attributes.first order true"),
        (None, None, None, ""),
    ],
)
def test_a_reason_is_told_in_words(
    feature: str | None, observed: float | str | None, threshold: float | str | None, told: str
) -> None:
    assert words(feature, observed, threshold) == told


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_aggregate_of_the_example_rules_has_words(file: Path) -> None:
    for feature in compile_ruleset(file.read_text(), file.name).plan.features:
        told = words(feature.name, 3, 2)
        assert "(" not in told, told


def test_money_without_a_known_currency_says_what_it_is_counted_in() -> None:
    reason = Reason("r", "CODE", "block", "amount", 231_200, 120_000)
    assert reason_words(reason, None) == "amount 231,200 minor units, limit 120,000 minor units"


def test_money_follows_the_decimals_of_its_currency() -> None:
    reason = Reason("r", "CODE", "block", "amount", 231_200, 120_000)
    assert reason_words(reason, "JPY") == "amount 231,200 JPY, limit 120,000"


@pytest.mark.parametrize(
    ("length_ms", "told"),
    [
        (0, "0 s"),
        (250, "250 ms"),
        (45_000, "45 s"),
        (720_000, "12 min"),
        (5 * 3_600_000, "5 h"),
        (72 * 3_600_000, "3 days"),
    ],
)
def test_a_duration_is_told_in_one_unit(length_ms: int, told: str) -> None:
    assert duration(length_ms) == told


# -- a decision on one line -------------------------------------------------------------------------

FLAG = Reason("large", "LARGE", "flag", "amount", 700_000, 500_000)
BLOCK = Reason("burst", "DEVICE_BURST", "block", "count(device_id, 10m)", 6, 5)


def decision(*reasons: Reason, action: str = "block", account_id: str = "a-1", late: bool = False) -> Decision:
    return Decision(
        "t-1", account_id, action, list(reasons), [], None, [], {}, "checkout", "v1", 100_000, "USD", 1_772_431_200_000,
        late, [],
    )  # fmt: skip


def shown(of: Decision, width: int = 200) -> str:
    console = Console(file=StringIO(), record=True, width=width)
    console.print(decision_line(of, {"checkout@v1": "CNY"}.get), no_wrap=True, overflow="ellipsis")
    return console.export_text().rstrip("\n")


def test_a_line_has_the_time_in_utc_the_action_the_amount_and_why() -> None:
    assert shown(decision(BLOCK)).split() == (
        "03-02 06:00:00Z block a-1 1,000.00 USD DEVICE_BURST (6 purchases on one device in 10 min, limit 5)".split()
    )


def test_reasons_that_made_the_action_come_first() -> None:
    line = shown(decision(FLAG, BLOCK))
    assert line.index("DEVICE_BURST") < line.index("LARGE (amount 7,000.00 CNY")


def test_a_decision_without_reasons_ends_with_its_amount() -> None:
    assert shown(decision(action="approve")).rstrip().endswith("1,000.00 USD")


def test_a_late_purchase_is_marked() -> None:
    assert shown(decision(late=True)).endswith("late")


def test_a_line_never_takes_two() -> None:
    assert "\n" not in shown(decision(FLAG, BLOCK, account_id="a" * 100), width=80)


def test_a_reason_without_a_measure_is_its_code() -> None:
    assert reason_text(Reason("r", "CODE", "flag"), "CNY") == "CODE"
