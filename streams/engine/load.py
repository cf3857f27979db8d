"""How busy the process is, for what is worth waiting for only under load."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_WINDOW_S: Final = 0.05
# Below the first share of a processor the process counts as idle, from the second on as fully loaded.
_IDLE_SHARE: Final = 0.5
_LOADED_SHARE: Final = 0.8


class Load:
    """The share of one processor that the process used of late.

    Clocks give seconds: `clock_s` of the world, `used_s` of the processor time taken so far.
    """

    def __init__(
        self, clock_s: Callable[[], float] = time.monotonic, used_s: Callable[[], float] = time.process_time
    ) -> None:
        self._clock_s = clock_s
        self._used_s = used_s
        self._since_s = clock_s()
        self._used_before_s = used_s()
        self._pressure = 0.0

    def pressure(self) -> float:
        """From 0, there is time enough, to 1, there is none left."""
        now_s = self._clock_s()
        elapsed_s = now_s - self._since_s
        if elapsed_s >= _WINDOW_S:
            used_s = self._used_s()
            share = (used_s - self._used_before_s) / elapsed_s
            self._pressure = min(1.0, max(0.0, (share - _IDLE_SHARE) / (_LOADED_SHARE - _IDLE_SHARE)))
            self._since_s, self._used_before_s = now_s, used_s
        return self._pressure
