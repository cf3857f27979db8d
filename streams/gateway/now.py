"""The gateway's clock, and records that are ahead of it."""

from __future__ import annotations

import time

from streams.gateway.problems import failed


def now_ms() -> int:
    """Epoch milliseconds, UTC."""
    return time.time_ns() // 1_000_000


def verify_not_ahead(event_time_ms: int, max_ahead_s: int) -> None:
    """Raises ProblemError for a time further after the gateway's clock than clocks differ."""
    ahead_ms = event_time_ms - now_ms()
    if ahead_ms > max_ahead_s * 1000:
        sentence = (
            f"is {ahead_ms} ms after the gateway's clock, at most {max_ahead_s * 1000} are allowed: check the "
            "sender's clock, and that event_time is in milliseconds"
        )
        raise failed("future", f"event_time {sentence}", [("event_time", sentence)])
