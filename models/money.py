"""Money: integers in minor units of an ISO 4217 currency, converted exactly."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

# ISO 4217 (active list): the number of decimals of each currency that does not have two.
_DECIMALS: Final = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN "
    "BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
    "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP "
    "LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR "
    "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW "
    "ZWG"
).split()

CURRENCY_DECIMALS: Final[Mapping[str, int]] = {**dict.fromkeys(_TWO_DECIMALS, 2), **_DECIMALS}
CURRENCIES: Final = tuple(sorted(CURRENCY_DECIMALS))


# Converted amounts, and what is used of a credit, stay within this: far inside 64 bits.
MAX_MINOR: Final = 10**18


class MoneyError(ValueError):
    """A currency that is not in ISO 4217, a rate that is missing, or an amount beyond all reason."""


def decimals_of(currency: str) -> int:
    """How many decimals a currency has. Raises MoneyError."""
    try:
        return CURRENCY_DECIMALS[currency]
    except KeyError:
        raise MoneyError(f"{currency!r} is not an ISO 4217 code, e.g. CNY") from None


def convert_minor(amount_minor: int, source: str, target: str, rates: Mapping[str, Decimal]) -> int:
    """Convert an amount, rounding half to even.

    `rates` gives the value of one major unit of a currency in major units of `target`. Raises MoneyError
    where the source has no rate, and where the result is beyond `MAX_MINOR`.
    """
    if source == target:
        return amount_minor
    rate = rates.get(source)
    if rate is None:
        raise MoneyError(f"no rate from {source} to {target}: add {source} under `rates`")
    numerator, denominator = _minor_ratio(source, target, rate)
    whole, rest = divmod(amount_minor * numerator, denominator)
    if abs(whole) > MAX_MINOR:
        raise MoneyError(f"{amount_minor} minor units of {source} are more than 10^18 of {target} at a rate of {rate}")
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


@lru_cache(maxsize=1024)
def _minor_ratio(source: str, target: str, rate: Decimal) -> tuple[int, int]:
    """How many minor units of `target` one minor unit of `source` is, as a ratio of integers."""
    ratio = Fraction(rate) * Fraction(10) ** (decimals_of(target) - decimals_of(source))
    return ratio.numerator, ratio.denominator


def format_minor(amount_minor: int, currency: str) -> str:
    """An amount for people: 123456 CNY becomes `1,234.56 CNY`."""
    decimals = decimals_of(currency)
    return f"{Decimal(amount_minor).scaleb(-decimals):,.{decimals}f} {currency}"
