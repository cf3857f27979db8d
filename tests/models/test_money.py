"""Money against exact decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import CURRENCIES, MAX_MINOR, MoneyError, convert_minor, decimals_of, format_minor

EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
AMOUNTS = st.integers(0, 10**15)
CODES = st.sampled_from(CURRENCIES)
RATES = st.decimals("0.000001", "1000000", places=6)


def converted_by_decimals(amount_minor: int, source: str, target: str, rate: Decimal) -> int:
    major = EXACT.scaleb(Decimal(amount_minor), -decimals_of(source))
    minor = EXACT.scaleb(EXACT.multiply(major, rate), decimals_of(target))
    return int(minor.quantize(Decimal(1), context=EXACT))


@given(AMOUNTS, CODES, CODES, RATES)
def test_a_conversion_is_exact_and_rounds_half_to_even(amount: int, source: str, target: str, rate: Decimal) -> None:
    expected = amount if source == target else converted_by_decimals(amount, source, target, rate)
    if expected > MAX_MINOR:
        with pytest.raises(MoneyError, match="more than 10"):
            convert_minor(amount, source, target, {source: rate})
    else:
        assert convert_minor(amount, source, target, {source: rate}) == expected


@pytest.mark.parametrize(
    ("amount", "source", "target", "rate", "expected"),
    [
        (100, "USD", "CNY", "7.12", 712),
        (1, "USD", "CNY", "0.5", 0),
        (3, "USD", "CNY", "0.5", 2),
        (5, "USD", "CNY", "0.5", 2),
        (100, "JPY", "CNY", "0.05", 500),
        (1_000, "CNY", "JPY", "20", 200),
        (1_234, "KWD", "CNY", "23.1", 2851),
        (10_000, "CLF", "CNY", "280", 28_000),
    ],
)
def test_decimals_of_both_currencies_count(amount: int, source: str, target: str, rate: str, expected: int) -> None:
    assert convert_minor(amount, source, target, {source: Decimal(rate)}) == expected


@given(AMOUNTS, CODES)
def test_the_same_currency_needs_no_rate(amount: int, code: str) -> None:
    assert convert_minor(amount, code, code, {}) == amount


def test_a_missing_rate_says_where_to_add_it() -> None:
    with pytest.raises(MoneyError, match="no rate from USD to CNY: add USD under `rates`"):
        convert_minor(1, "USD", "CNY", {"EUR": Decimal(8)})


def test_an_unknown_currency_is_named_with_an_example() -> None:
    with pytest.raises(MoneyError, match=r"^'XYZ' is not an ISO 4217 code, e.g. CNY$"):
        decimals_of("XYZ")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (123_456, "CNY", "1,234.56 CNY"),
        (5, "CNY", "0.05 CNY"),
        (1_234_567, "JPY", "1,234,567 JPY"),
        (1_234, "KWD", "1.234 KWD"),
        (-150, "CNY", "-1.50 CNY"),
        (10**15 + 1, "CNY", "10,000,000,000,000.01 CNY"),
    ],
)
def test_an_amount_is_written_for_people(amount: int, currency: str, text: str) -> None:
    assert format_minor(amount, currency) == text


@given(AMOUNTS, CODES)
def test_the_written_amount_is_the_amount(amount: int, code: str) -> None:
    number, _, currency = format_minor(amount, code).partition(" ")
    assert currency == code
    assert EXACT.scaleb(Decimal(number.replace(",", "")), decimals_of(code)) == amount


def test_an_amount_beyond_all_reason_is_refused_and_not_converted() -> None:
    assert convert_minor(10**15, "USD", "CNY", {"USD": Decimal(1000)}) == 10**18
    with pytest.raises(MoneyError, match=r"more than 10\^18 of CNY at a rate of 1001"):
        convert_minor(10**15, "USD", "CNY", {"USD": Decimal(1001)})
