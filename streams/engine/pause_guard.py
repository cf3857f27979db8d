"""Notices that the process was away: stopped, suspended, or busy for longer than its group waits for it.

A worker that comes back from a pause may own nothing any more and not know it yet. What it would write then is
what others have written since, so it ends before it writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_TICK_S: Final = 0.25


class PausedError(Exception):
    """The process was away for so long that its partitions may be another's."""


def awake_s() -> float:
    """A clock that goes on while the machine sleeps, where the system has one."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()


class PauseGuard:
    """Watches for pauses of more than `limit_s` seconds."""

    def __init__(self, limit_s: float, clock_s: Callable[[], float] = awake_s) -> None:
        self._limit_s = limit_s
        self._clock_s = clock_s
        self._seen_s = clock_s()

    async def watch(self) -> None:
        """Look at the clock for good. Raises PausedError after a pause that was too long."""
        while True:
            self.verify()
            self.touch()
            await asyncio.sleep(_TICK_S)

    def touch(self) -> None:
        """Say that the process was not away but at work."""
        self._seen_s = self._clock_s()

    def verify(self) -> None:
        """Raises PausedError after a pause that was too long."""
        away_s = self._clock_s() - self._seen_s
        if away_s > self._limit_s:
            raise PausedError(f"the process was away for {away_s:.1f} s, and the group waits for {self._limit_s:.1f} s")
