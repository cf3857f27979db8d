"""What the anomaly score looks at, and what it answers."""

from __future__ import annotations

from typing import NamedTuple


class Observation(NamedTuple):
    """One purchase as the score sees it.

    `amount_minor` is in minor units of the ruleset's currency, `hour` the local hour of the ruleset's time
    zone with its fraction, 0 <= hour < 24; what is not known is None and counts for nothing.
    """

    event_time_ms: int
    amount_minor: int
    hour: float
    merchant: str
    mcc: str
    country: str | None = None
    device: str | None = None


class Score(NamedTuple):
    """How unusual a purchase is for its account.

    `value`, 0 to 1, is the share of this stream's purchases that were less unusual: 0.99 is passed by about
    one in a hundred. `contributions` names up to three causes, largest first, in nats: a purchase that
    adds n nats is one in e^n. `surprise` is their sum over all causes, what `value` was calibrated from.
    """

    value: float
    contributions: tuple[tuple[str, float], ...]
    surprise: float
