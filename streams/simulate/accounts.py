"""The shoppers and their habits: how often, how much, where, on what device, from where."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from random import Random
from typing import Final

from streams.simulate.clock import HOUR_PROFILES
from streams.simulate.merchants import Market, Merchant

# Of all accounts, those that are opened for fraud and buy nothing before it.
_SHARE_OPENED_FOR_FRAUD: Final = 0.1
_CITIES: Final = ((31.23, 121.47), (39.9, 116.4), (23.13, 113.26), (30.57, 104.07), (22.54, 114.06))
_MEDIAN_LIMIT_MINOR: Final = 2_500_000
_LIMIT_STEP_MINOR: Final = 100_000


@dataclass(slots=True)
class Account:
    """An account and its habits.

    Amounts are log-normal: the merchant's median times `spending`, with `spread` the standard deviation of
    the logarithm. `activity` is the relative number of purchases. From `closed_at_ms` on it buys nothing
    more of its own accord.
    """

    account_id: str
    cards: tuple[str, ...]
    devices: tuple[str, ...]
    home_ip: str
    location: tuple[float, float]
    favourites: tuple[Merchant, ...]
    credit_limit_minor: int
    spending: float
    spread: float
    activity: float
    hour_profile: int
    closed_at_ms: int | None = None

    def usual_amount(self, rng: Random, merchant: Merchant) -> int:
        """Minor units of the home currency; never more than a quarter of the credit limit."""
        factor = self.spending * exp(rng.gauss(0.0, self.spread))
        wanted = round(merchant.trade.median_minor * factor)
        return max(100, min(wanted, self.credit_limit_minor // 4))


@dataclass(frozen=True)
class Population:
    """`shoppers` live their lives; `opened_for_fraud` appear only where a fraudster uses them."""

    shoppers: list[Account]
    opened_for_fraud: list[Account]

    @property
    def accounts(self) -> list[Account]:
        """Shoppers, and the accounts that fraudsters opened."""
        return [*self.shoppers, *self.opened_for_fraud]


def populate(rng: Random, count: int, market: Market) -> Population:
    """`count` accounts in all."""
    accounts = [_account(rng, number, market) for number in range(1, count + 1)]
    shoppers = count - max(1, round(count * _SHARE_OPENED_FOR_FRAUD))
    return Population(accounts[:shoppers], accounts[shoppers:])


def _account(rng: Random, number: int, market: Market) -> Account:
    name = f"{number:05d}"
    city = rng.choice(_CITIES)
    return Account(
        account_id=f"a-{name}",
        cards=tuple(f"c-{name}-{card}" for card in range(1, rng.choice((1, 1, 2)) + 1)),
        devices=tuple(f"d-{name}-{device}" for device in range(1, rng.choice((1, 1, 2)) + 1)),
        home_ip=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        location=(round(city[0] + rng.gauss(0, 0.1), 3), round(city[1] + rng.gauss(0, 0.1), 3)),
        favourites=tuple(market.visit(rng) for _ in range(rng.randint(4, 9))),
        credit_limit_minor=_credit_limit(rng),
        spending=rng.lognormvariate(0.0, 0.3),
        spread=rng.uniform(0.25, 0.6),
        activity=rng.lognormvariate(0.0, 0.4),
        hour_profile=rng.randrange(len(HOUR_PROFILES)),
    )


def _credit_limit(rng: Random) -> int:
    limit = rng.lognormvariate(0.0, 0.5) * _MEDIAN_LIMIT_MINOR
    return max(5, round(limit / _LIMIT_STEP_MINOR)) * _LIMIT_STEP_MINOR
