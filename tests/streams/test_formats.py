"""How figures are written: nothing is rounded to nothing, and money has the decimals of its currency."""

from __future__ import annotations

import pytest

from streams.formats import Formats

SHANGHAI = Formats("CNY", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "n/a"),
        (0.0, "0.00%"),
        (0.00001, "<0.01%"),
        (0.00006, "0.01%"),
        (0.123456, "12.35%"),
        (0.99999, ">99.99%"),
        (1.0, "100.00%"),
    ],
)
def test_a_share_is_not_rounded_to_nothing_or_to_all(share: float | None, text: str) -> None:
    assert SHANGHAI.share(share) == text


@pytest.mark.parametrize(
    ("currency", "text", "major"),
    [("CNY", "1,234,567.89", 1_234_567.89), ("JPY", "123,456,789", 123_456_789.0), ("KWD", "123,456.789", 123_456.789)],
)
def test_money_has_the_decimals_of_its_currency(currency: str, text: str, major: float) -> None:
    formats = Formats(currency, "UTC")
    assert formats.money(123_456_789) == text
    assert formats.money_named(123_456_789) == f"{text} {currency}"
    assert formats.major(123_456_789) == major


def test_times_are_in_the_time_zone_of_the_report() -> None:
    assert SHANGHAI.when(1_767_225_599_999) == "2026-01-01 07:59:59"
    assert Formats("EUR", "Europe/Berlin").when(1_782_864_000_000) == "2026-07-01 02:00:00"
    assert SHANGHAI.day(1_767_225_599_999) == "2026-01-01"


def test_one_thing_is_not_many() -> None:
    assert [SHANGHAI.counted(value, "purchase") for value in (0, 1, 1_000)] == [
        "0 purchases",
        "1 purchase",
        "1,000 purchases",
    ]


def test_what_is_unknown_is_said() -> None:
    assert {SHANGHAI.count(None), SHANGHAI.money(None), SHANGHAI.ratio(None), SHANGHAI.when(None)} == {"n/a"}
