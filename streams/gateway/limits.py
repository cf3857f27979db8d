"""How much one API key may ask: so many requests per second, and so many at the same time."""

from __future__ import annotations

import math
import time
from collections import Counter
from threading import Timer
from typing import Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from streams.gateway.api_key import ApiKey
from streams.gateway.config import EdgeConfig
from streams.gateway.problems import ProblemError, failed


class _NoTimer(Timer):
    """Stands where the storage would start a thread a hundred times a second, to forget windows that are over.

    Of each key there is one window, and it is forgotten when the next one begins.
    """

    def is_alive(self) -> bool:
        return True


_NO_TIMER: Final = _NoTimer(0, lambda: None)


class KeyLimits:
    """Counts the requests of each key, in this process."""

    def __init__(self, config: EdgeConfig) -> None:
        self._config = config
        storage = MemoryStorage()
        storage.timer.cancel()
        storage.timer.join()
        storage.timer = _NO_TIMER
        self._limiter = FixedWindowRateLimiter(storage)
        self._items: dict[tuple[int, int], RateLimitItem] = {}
        self._in_flight = Counter[str]()

    def enter(self, key: ApiKey) -> None:
        """Count a request in. Raises ProblemError, and counts nothing, where it is one too many."""
        at_most = key.max_in_flight or self._config.key_max_in_flight
        if self._in_flight[key.id] >= at_most:
            raise _too_many(f"{at_most} requests of the API key {key.id} are under way: wait for their answers", 1)
        item = self._item(key)
        if not self._limiter.hit(item, key.id):
            reset_s = self._limiter.get_window_stats(item, key.id).reset_time - time.time()
            detail = f"the API key {key.id} may ask {item.amount} times in {item.get_expiry()} s: ask more slowly"
            raise _too_many(detail, max(1, math.ceil(reset_s)))
        self._in_flight[key.id] += 1

    def leave(self, key: ApiKey) -> None:
        """Count a request out that was counted in."""
        self._in_flight[key.id] -= 1
        if not self._in_flight[key.id]:
            del self._in_flight[key.id]

    def _item(self, key: ApiKey) -> RateLimitItem:
        rate_per_s = key.rate_per_s or self._config.key_rate_per_s
        burst = key.burst or rate_per_s
        item = self._items.get((rate_per_s, burst))
        if item is None:
            item = self._items[rate_per_s, burst] = RateLimitItemPerSecond(burst, burst // rate_per_s)
        return item


def _too_many(detail: str, retry_after_s: int) -> ProblemError:
    return failed("too-many-requests", detail, headers={"Retry-After": str(retry_after_s)})
