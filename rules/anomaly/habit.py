"""What an account does in one field of its purchases: counts that stay small and forget.

Everything is an integer and the table keeps its order, so that a habit read back from its bytes goes on
exactly as the one that was written.
"""

from __future__ import annotations

import struct
from typing import Final

from rules.anomaly.codec import AnomalyStateError, unpack
from rules.anomaly.novelty import Novelty

# The population's habit counts like this many of the account's purchases.
PRIOR_PURCHASES: Final = 2.0

_HEAD: Final = struct.Struct("<HBB")


class Habit:
    """The values that an account has shown in one field, and how often it shows a new one.

    Holds up to `capacity` values by 32-bit hash with a count each, 1 to 255; the least used makes room. When
    the counts pass `FADE_AT` purchases, all are halved, so that old habits fade.
    """

    FADE_AT: Final = 128
    __slots__ = ("capacity", "novel", "trials", "values")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.values: dict[int, int] = {}
        self.trials = 0
        self.novel = 0

    def tail(self, value: int, novelty: Novelty) -> float:
        """The probability of a value as rare for this account as this one, or rarer; 1 with no history.

        `novelty` is how often accounts of the population show a value that is new to them.
        """
        values = self.values
        if not values:
            return 1.0
        count = values.get(value)
        if count is not None and len(values) == 1:
            return 1.0
        new = (self.novel + PRIOR_PURCHASES * novelty.rate()) / (self.trials + PRIOR_PURCHASES)
        if count is None:
            return new
        counts = values.values()
        rarer = sum([other for other in counts if other <= count])
        return new + (1.0 - new) * rarer / sum(counts)

    def learn(self, value: int) -> bool:
        """Count the value; tells whether it was new to an account that had a history."""
        values = self.values
        count = values.get(value)
        if count is not None:
            values[value] = count + 1
            self.trials += 1
            if self.trials >= self.FADE_AT:
                self._fade()
            return False
        had_history = bool(values)
        if len(values) >= self.capacity:
            del values[min(values, key=values.__getitem__)]
        values[value] = 1
        if had_history:
            self.trials += 1
            self.novel += 1
            if self.trials >= self.FADE_AT:
                self._fade()
        return had_history

    def _fade(self) -> None:
        self.trials >>= 1
        self.novel >>= 1
        self.values = {value: count >> 1 for value, count in self.values.items() if count > 1}

    def encode(self) -> bytes:
        """The one text of this state."""
        size = len(self.values)
        head = _HEAD.pack(self.trials, self.novel, size)
        return head + struct.pack(f"<{size}I{size}B", *self.values, *self.values.values())

    @classmethod
    def decode(cls, raw: bytes, at: int, capacity: int) -> tuple[Habit, int]:
        """Read what `encode` wrote at `at`; gives the position after it. Raises AnomalyStateError."""
        habit = cls(capacity)
        habit.trials, habit.novel, size = unpack(_HEAD, raw, at)
        at += _HEAD.size
        body = struct.Struct(f"<{size}I{size}B")
        numbers = unpack(body, raw, at)
        habit.values = dict(zip(numbers[:size], numbers[size:], strict=True))
        if size > capacity or len(habit.values) != size or habit.novel > habit.trials:
            raise AnomalyStateError("anomaly state: a habit that cannot have come about")
        return habit, at + body.size
