"""The shops: what they sell, what it usually costs, how many go there."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import Final

from models.money import convert_minor

HOME_CURRENCY: Final = "CNY"
# Rates of the simulated world, per unit of the home currency; a ruleset has its own.
RATES: Final = {"USD": Decimal("7.1")}
_SHARE_ABROAD: Final = 0.04
_MIN_MERCHANTS: Final = 40
_ACCOUNTS_PER_MERCHANT: Final = 3


@dataclass(frozen=True, slots=True)
class Trade:
    """A merchant category (ISO 18245), the median amount spent there in fen, and the channel."""

    mcc: str
    median_minor: int
    channel: str


GROCERIES: Final = Trade("5411", 6_800, "pos")
DIGITAL_GOODS: Final = Trade("5816", 3_000, "app")
ELECTRONICS: Final = Trade("5732", 49_900, "web")
JEWELLERY: Final = Trade("5944", 60_000, "web")
GIFT_CARDS: Final = Trade("5947", 20_000, "web")
HOME_GOODS: Final = Trade("5200", 15_900, "web")
TRADES: Final = (
    GROCERIES,
    GROCERIES,
    Trade("5812", 5_800, "pos"),
    Trade("5814", 2_900, "app"),
    Trade("4121", 2_300, "app"),
    Trade("5499", 1_800, "pos"),
    DIGITAL_GOODS,
    Trade("5912", 4_500, "pos"),
    Trade("5651", 19_900, "web"),
    Trade("5942", 5_900, "web"),
    HOME_GOODS,
    ELECTRONICS,
    JEWELLERY,
    GIFT_CARDS,
)


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant, with what it sells and where."""

    merchant_id: str
    trade: Trade
    country: str
    currency: str

    def priced(self, home_minor: int) -> int:
        """An amount of the home currency in the merchant's, minor units, at least 1."""
        if self.currency == HOME_CURRENCY:
            return max(1, home_minor)
        back = {HOME_CURRENCY: 1 / RATES[self.currency]}
        return max(1, convert_minor(home_minor, HOME_CURRENCY, self.currency, back))

    def booked(self, home_minor: int) -> int:
        """The priced amount as the account is debited for it: back in the home currency, minor units."""
        return convert_minor(self.priced(home_minor), self.currency, HOME_CURRENCY, RATES)


class Market:
    """All merchants. The first are the most visited, as in Zipf's law."""

    def __init__(self, rng: Random, accounts: int) -> None:
        count = max(_MIN_MERCHANTS, accounts // _ACCOUNTS_PER_MERCHANT)
        self.merchants = [_merchant(rng, number) for number in range(count)]
        self._visits = list(accumulate(1 / (rank + 4) for rank in range(count)))

    def visit(self, rng: Random) -> Merchant:
        """A merchant, by popularity."""
        return rng.choices(self.merchants, cum_weights=self._visits)[0]

    def selling(self, rng: Random, *trades: Trade) -> Merchant:
        """A merchant at home of one of these trades: every trade has one."""
        return rng.choice([m for m in self.merchants if m.trade in trades and m.currency == HOME_CURRENCY])


def _merchant(rng: Random, number: int) -> Merchant:
    # The first few are at home and of every trade in turn, so that each trade has a merchant.
    if number < len(TRADES):
        trade, abroad = TRADES[number], False
    else:
        trade, abroad = rng.choice(TRADES), rng.random() < _SHARE_ABROAD
    country, currency = ("US", "USD") if abroad else ("CN", HOME_CURRENCY)
    return Merchant(f"m-{1001 + number}", trade, country, currency)
