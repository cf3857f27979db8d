"""What is simulated: how much, when, and how much of it is fraud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.fields import MAX_EVENT_TIME_MS, MIN_EVENT_TIME_MS

MIN_ACCOUNTS: Final = 10


@dataclass(frozen=True)
class SimulationConfig:
    """The whole input of a simulation: equal configs give equal events, byte for byte.

    `accounts` counts all of them, those opened for fraud too. `purchases` counts the fraudulent ones too:
    `fraud_share` of them. Event times lie from `start_ms` (epoch milliseconds) on in `duration_s` seconds.
    With `whole_labels` a label carries its purchase, so that it counts in rules. Raises ValueError where a number
    makes no sense.
    """

    seed: int
    accounts: int
    purchases: int
    start_ms: int
    duration_s: float
    fraud_share: float = 0.03
    whole_labels: bool = True

    def __post_init__(self) -> None:
        _demand(self.accounts >= MIN_ACCOUNTS, "accounts", self.accounts, f"at least {MIN_ACCOUNTS}")
        _demand(self.purchases >= 0, "purchases", self.purchases, "at least 0")
        _demand(0 <= self.fraud_share <= 1, "fraud_share", self.fraud_share, "from 0 to 1")
        _demand(self.duration_s >= 1, "duration_s", self.duration_s, "at least 1 second")
        in_range = self.start_ms >= MIN_EVENT_TIME_MS and self.end_ms <= MAX_EVENT_TIME_MS
        _demand(in_range, "start_ms", self.start_ms, "epoch milliseconds of the years 2000 to 2099")

    @property
    def duration_ms(self) -> int:
        """Event time spanned, in milliseconds."""
        return int(self.duration_s * 1000)

    @property
    def end_ms(self) -> int:
        """The first millisecond after the simulation."""
        return self.start_ms + self.duration_ms

    @property
    def fraudulent_purchases(self) -> int:
        """How many purchases are fraudulent."""
        return round(self.purchases * self.fraud_share)


def _demand(holds: bool, field: str, value: float, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{field} is {value}: it must be {wanted}")
