"""A purchase before it has its transaction id: ids are given in event-time order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streams.simulate.accounts import Account
from streams.simulate.merchants import Merchant


@dataclass(slots=True)
class Draft:
    """`home_minor` is the amount in minor units of the home currency; `fraud` names the scenario, if any."""

    at_ms: int
    account: Account
    merchant: Merchant
    home_minor: int
    card: str
    device: str
    ip: str
    country: str = "CN"
    location: tuple[float, float] | None = None
    instalments: int | None = None
    fraud: str | None = None

    def purchase(self, transaction_id: str) -> dict[str, Any]:
        """The JSON of `models.purchase.Purchase`."""
        value: dict[str, Any] = {
            "transaction_id": transaction_id,
            "account_id": self.account.account_id,
            "amount": self.merchant.priced(self.home_minor),
            "currency": self.merchant.currency,
            "event_time": self.at_ms,
            "merchant_id": self.merchant.merchant_id,
            "mcc": self.merchant.trade.mcc,
            "card_id": self.card,
            "device_id": self.device,
            "ip": self.ip,
            "country": self.country,
            "channel": self.merchant.trade.channel,
        }
        if self.location is not None:
            value["location"] = {"lat": self.location[0], "lon": self.location[1]}
        if self.instalments is not None:
            value["instalments"] = {"count": self.instalments, "interval_days": 30}
        return value
