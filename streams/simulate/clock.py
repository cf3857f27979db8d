"""When people shop: hours of the day, in the shoppers' own time zone."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from random import Random
from typing import Final

from streams.simulate.config import SimulationConfig

# China Standard Time: UTC+8 all year.
_LOCAL_OFFSET_MS: Final = 8 * 3_600_000
_HOUR_MS: Final = 3_600_000

# Relative activity in each local hour from 0 to 23. Nobody is ever wholly asleep: weights stay above zero.
HOUR_PROFILES: Final[tuple[tuple[float, ...], ...]] = (
    # the early riser
    (0.1, 0.1, 0.1, 0.1, 0.3, 1, 3, 5, 5, 4, 3, 3, 3, 2, 2, 2, 2, 2, 2, 1, 0.6, 0.3, 0.2, 0.1),
    # the office worker: lunch and the evening
    (0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 2, 2, 1, 1, 3, 5, 3, 1, 1, 1, 2, 4, 5, 5, 4, 2, 0.6),
    # at home by day
    (0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.5, 1, 2, 4, 5, 5, 4, 4, 5, 5, 4, 3, 2, 2, 1, 0.6, 0.3, 0.2),
    # the night owl
    (4, 3, 2, 1, 0.5, 0.2, 0.1, 0.1, 0.2, 0.5, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 5, 5, 5),
)


class ShoppingClock:
    """Draws the times at which a shopper of one profile buys something."""

    def __init__(self, config: SimulationConfig, profile: tuple[float, ...]) -> None:
        self._starts = _hour_starts(config)
        ends = [*self._starts[1:], config.end_ms]
        self._lengths = [end - start for start, end in zip(self._starts, ends, strict=True)]
        weights = (
            length * profile[_local_hour(start)] for start, length in zip(self._starts, self._lengths, strict=True)
        )
        self._cumulative = list(accumulate(weights))

    def draw(self, rng: Random) -> int:
        """Epoch milliseconds within the simulation."""
        hour = bisect_right(self._cumulative, rng.random() * self._cumulative[-1])
        hour = min(hour, len(self._starts) - 1)
        return self._starts[hour] + int(rng.random() * self._lengths[hour])


def _hour_starts(config: SimulationConfig) -> list[int]:
    """The start of the simulation, and of every full hour within it."""
    first_full = (config.start_ms // _HOUR_MS + 1) * _HOUR_MS
    return [config.start_ms, *range(first_full, config.end_ms, _HOUR_MS)]


def _local_hour(at_ms: int) -> int:
    return (at_ms + _LOCAL_OFFSET_MS) // _HOUR_MS % 24
