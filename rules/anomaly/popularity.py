"""How often the population shows each value of a field."""

from __future__ import annotations

import struct
from typing import Final

from rules.anomaly.codec import AnomalyStateError, unpack

_HEAD: Final = struct.Struct("<H")


class Popularity:
    """How often the population shows a value of a field; up to `capacity` values, the rarest makes room."""

    __slots__ = ("capacity", "total", "values")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.values: dict[int, int] = {}
        self.total = 0

    def tail(self, value: int) -> float:
        """The share of purchases with a value as rare as this one, or rarer."""
        count = self.values.get(value, 0)
        rarer = sum([other for other in self.values.values() if other <= count])
        return (rarer + 1.0) / (self.total + 1.0)

    def learn(self, value: int) -> None:
        """Count one purchase with this value."""
        values = self.values
        count = values.get(value)
        if count is None and len(values) >= self.capacity:
            self.total -= values.pop(min(values, key=values.__getitem__))
        values[value] = (count or 0) + 1
        self.total += 1

    def fade(self) -> None:
        """Halve every count; values that were seen once go."""
        self.values = {value: count >> 1 for value, count in self.values.items() if count > 1}
        self.total = sum(self.values.values())

    def encode(self) -> bytes:
        """The one text of this state."""
        size = len(self.values)
        return struct.pack(f"<H{2 * size}I", size, *self.values, *self.values.values())

    @classmethod
    def decode(cls, raw: bytes, at: int, capacity: int) -> tuple[Popularity, int]:
        """Read what `encode` wrote at `at`; gives the position after it. Raises AnomalyStateError."""
        table = cls(capacity)
        (size,) = unpack(_HEAD, raw, at)
        body = struct.Struct(f"<{2 * size}I")
        numbers = unpack(body, raw, at + _HEAD.size)
        table.values = dict(zip(numbers[:size], numbers[size:], strict=True))
        table.total = sum(table.values.values())
        if size > capacity or len(table.values) != size:
            raise AnomalyStateError("anomaly state: a popularity table that cannot have come about")
        return table, at + _HEAD.size + body.size
