"""Purchases of people who shop as they always do, with the surprises that life has."""

from __future__ import annotations

from itertools import accumulate
from random import Random
from typing import Final

from streams.simulate.accounts import Account
from streams.simulate.clock import HOUR_PROFILES, ShoppingClock
from streams.simulate.config import SimulationConfig
from streams.simulate.draft import Draft
from streams.simulate.merchants import Market

_SHARE_AT_FAVOURITES: Final = 0.85
_SHARE_ON_THE_MOVE: Final = 0.15
_SHARE_NEW_DEVICE: Final = 0.004
_SHARE_LOCATED: Final = 0.2
_SHARE_BY_INSTALMENTS: Final = 0.2
_INSTALMENTS_FROM_MINOR: Final = 100_000
# Mobile carriers put many subscribers behind each of their addresses.
_CARRIER_ADDRESSES: Final = 250


class Shopping:
    """Draws genuine purchases of all shoppers."""

    def __init__(self, config: SimulationConfig, shoppers: list[Account], market: Market) -> None:
        self._shoppers = shoppers
        self._activity = list(accumulate(shopper.activity for shopper in shoppers))
        self._clocks = [ShoppingClock(config, profile) for profile in HOUR_PROFILES]
        self._market = market
        self._new_devices = 0

    def drafts(self, rng: Random, count: int) -> list[Draft]:
        """`count` purchases in no order."""
        return [self._draft(rng) for _ in range(count)]

    def _draft(self, rng: Random) -> Draft:
        account, at_ms = self._who_and_when(rng)
        at_favourite = rng.random() < _SHARE_AT_FAVOURITES
        merchant = rng.choice(account.favourites) if at_favourite else self._market.visit(rng)
        amount = account.usual_amount(rng, merchant)
        draft = Draft(
            at_ms=at_ms,
            account=account,
            merchant=merchant,
            home_minor=amount,
            card=account.cards[0] if rng.random() < 0.8 else rng.choice(account.cards),
            device=self._device(rng, account),
            ip=_carrier_ip(rng) if rng.random() < _SHARE_ON_THE_MOVE else account.home_ip,
        )
        if rng.random() < _SHARE_LOCATED:
            draft.location = account.location
        if amount >= _INSTALMENTS_FROM_MINOR and rng.random() < _SHARE_BY_INSTALMENTS:
            draft.instalments = rng.choice((3, 6, 12))
        return draft

    def _who_and_when(self, rng: Random) -> tuple[Account, int]:
        # Some shoppers never close their account, so this ends.
        while True:
            account = rng.choices(self._shoppers, cum_weights=self._activity)[0]
            at_ms = self._clocks[account.hour_profile].draw(rng)
            if account.closed_at_ms is None or at_ms < account.closed_at_ms:
                return account, at_ms

    def _device(self, rng: Random, account: Account) -> str:
        if rng.random() >= _SHARE_NEW_DEVICE:
            return rng.choice(account.devices)
        self._new_devices += 1
        return f"d-new-{self._new_devices:05d}"


def _carrier_ip(rng: Random) -> str:
    return f"100.64.0.{rng.randrange(_CARRIER_ADDRESSES)}"
