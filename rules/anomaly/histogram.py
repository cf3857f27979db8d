"""A histogram that can forget: how often the stream has shown a quantity, by bins."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

from rules.anomaly.codec import AnomalyStateError, unpack

_HEAD: Final = struct.Struct("<H")


class Histogram:
    """Counts in a fixed number of bins."""

    __slots__ = ("bins", "total")

    def __init__(self, size: int) -> None:
        self.bins = [0] * size
        self.total = 0

    def above(self, position: float) -> float:
        """How many lie above a position, in bins; inside its bin they are taken as spread evenly."""
        bins = self.bins
        index = int(position)
        # Whichever side is shorter is the one to add up.
        is_low = 2 * index < len(bins)
        beyond = self.total - sum(bins[: index + 1]) if is_low else sum(bins[index + 1 :])
        return beyond + bins[index] * (1.0 - (position - index))

    def learn(self, index: int) -> None:
        """Count one purchase in a bin."""
        self.bins[index] += 1
        self.total += 1

    def fade(self) -> None:
        """Halve every bin; an odd one out goes on to the next bin, so that thin tails are not lost."""
        carry = 0
        for index, count in enumerate(self.bins):
            count += carry
            self.bins[index] = count >> 1
            carry = count & 1
        self.total = sum(self.bins)

    def encode(self) -> bytes:
        """The one text of this state: the bins that are not empty, in order."""
        used = [index for index, count in enumerate(self.bins) if count]
        counts = [self.bins[index] for index in used]
        return struct.pack(f"<H{len(used)}H{len(used)}I", len(used), *used, *counts)

    @classmethod
    def decode(cls, raw: bytes, at: int, size: int) -> tuple[Histogram, int]:
        """Read what `encode` wrote at `at`; gives the position after it. Raises AnomalyStateError."""
        histogram = cls(size)
        (used,) = unpack(_HEAD, raw, at)
        body = struct.Struct(f"<{used}H{used}I")
        numbers = unpack(body, raw, at + _HEAD.size)
        indices, counts = numbers[:used], numbers[used:]
        if not _ascending(indices) or (indices and indices[-1] >= size) or 0 in counts:
            raise AnomalyStateError("anomaly state: a histogram that cannot have come about")
        for index, count in zip(indices, counts, strict=True):
            histogram.bins[index] = count
        histogram.total = sum(counts)
        return histogram, at + _HEAD.size + body.size


def _ascending(numbers: tuple[int, ...]) -> bool:
    return all(left < right for left, right in pairwise(numbers))
