"""The circuit breaker: while the stream is known to be away nobody waits for it, but for one request now and then."""

from __future__ import annotations

from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: requests wait for their replies. Open: none does. Half-open: one does, to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Says which requests may wait for a reply. Times are in seconds of one monotonic clock.

    `failures` misses in a row open it. While it is open one request each `probe_interval_s` may wait, and a reply
    that comes in time, and within `longest_reply_s`, closes it again: older ones tell how long whoever is patient
    waits, not whether others would be answered. A request behind records that have waited to be written for longer
    than `longest_wait_s` can't be answered in time: it does not wait, and counts as a miss. Of requests that allow
    less than `least_allowed_s` nothing is learnt: their misses don't count, and none of them probes.
    """

    def __init__(
        self,
        failures: int,
        probe_interval_s: float,
        longest_wait_s: float,
        least_allowed_s: float,
        longest_reply_s: float,
    ) -> None:
        self._failures = failures
        self._probe_interval_s = probe_interval_s
        self._longest_wait_s = longest_wait_s
        self._least_allowed_s = least_allowed_s
        self._longest_reply_s = longest_reply_s
        self._misses = 0
        self._probed_s = 0.0
        self.state = BreakerState.CLOSED

    def admits(self, now_s: float, allowed_s: float, waiting_s: float = 0.0) -> bool:
        """Whether a request, which allows so long, may wait; the records before it have waited to be written."""
        if waiting_s > self._longest_wait_s:
            self._miss(now_s)
            return False
        if self.state is BreakerState.CLOSED:
            return True
        if allowed_s < self._least_allowed_s or now_s - self._probed_s < self._probe_interval_s:
            return False
        self._probed_s = now_s
        self.state = BreakerState.HALF_OPEN
        return True

    def missed(self, now_s: float, allowed_s: float) -> None:
        """The time of a request, which allowed so long, is up, and it has no reply."""
        if allowed_s >= self._least_allowed_s:
            self._miss(now_s)

    def replied(self, age_s: float) -> None:
        """A reply came in time, so long after it was asked for."""
        if self.state is BreakerState.CLOSED or age_s <= self._longest_reply_s:
            self._misses = 0
            self.state = BreakerState.CLOSED

    def _miss(self, now_s: float) -> None:
        if self.state is not BreakerState.CLOSED:
            self.state = BreakerState.OPEN
            return
        self._misses += 1
        if self._misses >= self._failures:
            self.state = BreakerState.OPEN
            self._probed_s = now_s
