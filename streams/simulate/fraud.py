"""Fraud scenarios. Each campaign is a handful of purchases with a pattern that a rule can find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log
from random import Random
from typing import Final

from streams.simulate.accounts import Account, Population
from streams.simulate.config import SimulationConfig
from streams.simulate.draft import Draft
from streams.simulate.merchants import (
    DIGITAL_GOODS,
    ELECTRONICS,
    GIFT_CARDS,
    HOME_GOODS,
    JEWELLERY,
    Market,
)

# Of all shoppers, those that may take part in a bust-out: they stop shopping when it begins.
_SHARE_BUST_OUT: Final = 0.1
# A fraudster's campaign takes at most this share of the simulation, however short it is.
_MAX_CAMPAIGN_SHARE: Final = 0.5
_FOREIGN: Final = ("US", "RU", "NG", "BR", "VN")


@dataclass
class Underworld:
    """What the scenarios draw from, and what they have used up."""

    rng: Random
    config: SimulationConfig
    population: Population
    market: Market
    campaigns: int = 0
    bust_outs: list[Account] = field(init=False)
    victims: list[Account] = field(init=False)

    def __post_init__(self) -> None:
        shoppers = self.population.shoppers
        dishonest = max(1, int(len(shoppers) * _SHARE_BUST_OUT))
        self.bust_outs, self.victims = shoppers[-dishonest:], shoppers[:-dishonest]

    def new_device(self) -> str:
        """A device that no shopper has."""
        return f"d-x-{self.campaigns:04d}"

    def new_ip(self) -> str:
        """An address that nobody else in the simulation has, out of a range that is nobody's (RFC 2544)."""
        return f"198.18.{self.campaigns >> 8 & 255}.{self.campaigns & 255}"

    def times(self, count: int, mean_gap_s: float) -> list[int]:
        """Rising times of a campaign, epoch milliseconds, with exponential gaps."""
        offsets = [0.0]
        for _ in range(count - 1):
            offsets.append(offsets[-1] - mean_gap_s * 1000 * log(1.0 - self.rng.random()))
        duration_ms = self.config.duration_ms
        squeeze = min(1.0, _MAX_CAMPAIGN_SHARE * duration_ms / max(offsets[-1], 1.0))
        start = self.config.start_ms + self.rng.random() * (duration_ms - offsets[-1] * squeeze)
        return [int(min(start + offset * squeeze, self.config.end_ms - 1)) for offset in offsets]

    def some(self, accounts: Sequence[Account], low: int, high: int) -> list[Account]:
        """From `low` to `high` different accounts, or as many as there are."""
        return self.rng.sample(accounts, min(self.rng.randint(low, high), len(accounts)))


def card_testing(world: Underworld) -> list[Draft]:
    """Stolen cards are tried with small amounts, quickly, all from one device and address."""
    rng, device, ip = world.rng, world.new_device(), world.new_ip()
    victims = world.some(world.victims, 3, 8)
    merchant = world.market.selling(rng, DIGITAL_GOODS, GIFT_CARDS)
    drafts: list[Draft] = []
    for at_ms in world.times(rng.randint(12, 40), mean_gap_s=5.0):
        victim = rng.choice(victims)
        amount = rng.randint(100, 990)
        drafts.append(Draft(at_ms, victim, merchant, amount, rng.choice(victim.cards), device, ip))
    return drafts


def account_takeover(world: Underworld) -> list[Draft]:
    """Someone else is in the account: a new device, a new address, amounts far above the usual."""
    rng, device, ip = world.rng, world.new_device(), world.new_ip()
    victim, country = rng.choice(world.victims), rng.choice(_FOREIGN)
    drafts: list[Draft] = []
    for at_ms in world.times(rng.randint(3, 8), mean_gap_s=90.0):
        merchant = world.market.selling(rng, ELECTRONICS, JEWELLERY, GIFT_CARDS)
        amount = round(rng.uniform(0.08, 0.25) * victim.credit_limit_minor)
        drafts.append(Draft(at_ms, victim, merchant, amount, victim.cards[0], device, ip, country))
    return drafts


def device_farm(world: Underworld) -> list[Draft]:
    """One device opens many accounts and buys with each of them."""
    rng, device, ip = world.rng, world.new_device(), world.new_ip()
    accounts = world.some(world.population.opened_for_fraud, 6, 20)
    merchant = world.market.selling(rng, GIFT_CARDS, HOME_GOODS)
    drafts: list[Draft] = []
    for number, at_ms in enumerate(world.times(len(accounts) * rng.randint(1, 3), mean_gap_s=30.0)):
        account = accounts[number % len(accounts)]
        amount = rng.randint(15_000, 60_000)
        drafts.append(Draft(at_ms, account, merchant, amount, account.cards[0], device, ip))
    return drafts


def bust_out(world: Underworld) -> list[Draft]:
    """A shopper of good standing runs up the credit limit and is gone."""
    rng = world.rng
    if not world.bust_outs:
        return []
    account = world.bust_outs.pop(rng.randrange(len(world.bust_outs)))
    shares = [rng.uniform(0.08, 0.24)]
    while sum(shares) < 1.0:
        shares.append(rng.uniform(0.08, 0.24))
    times = world.times(len(shares), mean_gap_s=150.0)
    account.closed_at_ms = times[0]
    drafts: list[Draft] = []
    for at_ms, share in zip(times, shares, strict=True):
        merchant = world.market.selling(rng, ELECTRONICS, JEWELLERY)
        amount = round(share * account.credit_limit_minor)
        device, card = account.devices[0], account.cards[0]
        drafts.append(Draft(at_ms, account, merchant, amount, card, device, account.home_ip))
    return drafts


def merchant_collusion(world: Underworld) -> list[Draft]:
    """A merchant charges round high amounts to a ring of accounts for goods that do not exist."""
    rng = world.rng
    merchant = world.market.selling(rng, HOME_GOODS)
    ring = world.some(world.victims, 4, 10)
    drafts: list[Draft] = []
    for at_ms in world.times(rng.randint(12, 30), mean_gap_s=240.0):
        account = rng.choice(ring)
        amount = rng.randint(2, 10) * 50_000
        device, card = account.devices[0], account.cards[0]
        drafts.append(Draft(at_ms, account, merchant, amount, card, device, account.home_ip))
    return drafts


SCENARIOS: Final[dict[str, Callable[[Underworld], list[Draft]]]] = {
    "card-testing": card_testing,
    "account-takeover": account_takeover,
    "device-farm": device_farm,
    "bust-out": bust_out,
    "merchant-collusion": merchant_collusion,
}


def fraudulent_drafts(world: Underworld, count: int) -> list[Draft]:
    """`count` purchases: campaigns of each scenario in turn, the last one cut short."""
    drafts: list[Draft] = []
    while len(drafts) < count:
        for name, scenario in SCENARIOS.items():
            world.campaigns += 1
            campaign = scenario(world)
            for draft in campaign:
                draft.fraud = name
            drafts += campaign
    return drafts[:count]
