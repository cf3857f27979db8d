"""What the HTTP edge needs to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """Limits and defaults of the HTTP edge.

    `deadline_ms` holds for requests that name none. `max_ahead_s` is how far a record's time may be after the
    gateway's clock. The `key_` values hold for API keys that have none of their own: requests per second, and requests
    under way at the same time. `read_keys_every_s` is how soon a changed keys file is read, and `body_timeout_s` how
    long a body may take to arrive.
    """

    deadline_ms: int = 100
    max_body_bytes: int = 65_536
    max_ahead_s: int = 300
    key_rate_per_s: int = 2_000
    key_max_in_flight: int = 512
    read_keys_every_s: float = 1.0
    body_timeout_s: float = 5.0
