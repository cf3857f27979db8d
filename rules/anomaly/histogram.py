"""A histogram that can forget: how often the stream has shown a quantity, by bins."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.anomaly.codec import AnomalyStateError, unpack

_HEAD: Final = struct.Struct("<H")
_INDEX: Final = np.dtype("<u2")
_COUNT: Final = np.dtype("<u4")


class Histogram:
    """Counts in a fixed number of bins."""

    __slots__ = ("bins", "total")

    def __init__(self, size: int) -> None:
        self.bins: NDArray[np.int64] = np.zeros(size, np.int64)
        self.total = 0

    def count(self, index: int) -> int:
        """How many lie in a bin."""
        return int(self.bins[index])

    def above(self, position: float) -> float:
        """How many lie above a position, in bins; inside its bin they are taken as spread evenly."""
        index = int(position)
        return int(self.bins[index + 1 :].sum()) + int(self.bins[index]) * (1.0 - (position - index))

    def learn(self, index: int) -> None:
        """Count one purchase in a bin."""
        self.bins[index] += 1
        self.total += 1

    def fade(self) -> None:
        """Halve every bin; an odd one out goes on to the next bin, so that thin tails are not lost."""
        # So the counts up to each bin are halved, and rounded down.
        halved = np.cumsum(self.bins) >> 1
        self.bins = np.diff(halved, prepend=0)
        self.total = int(halved[-1])

    def encode(self) -> bytes:
        """The one text of this state: the bins that are not empty, in order."""
        used = np.flatnonzero(self.bins)
        head = _HEAD.pack(len(used))
        return head + used.astype(_INDEX).tobytes() + self.bins[used].astype(_COUNT).tobytes()

    @classmethod
    def decode(cls, raw: bytes, at: int, size: int) -> tuple[Histogram, int]:
        """Read what `encode` wrote at `at`; gives the position after it. Raises AnomalyStateError."""
        histogram = cls(size)
        (used,) = unpack(_HEAD, raw, at)
        at += _HEAD.size
        end = at + used * (_INDEX.itemsize + _COUNT.itemsize)
        if end > len(raw):
            raise AnomalyStateError("anomaly state: the bytes end too early")
        indices = np.frombuffer(raw, _INDEX, used, at)
        counts = np.frombuffer(raw, _COUNT, used, at + used * _INDEX.itemsize)
        if (np.diff(indices.astype(np.int64)) <= 0).any() or (used and indices[-1] >= size) or not counts.all():
            raise AnomalyStateError("anomaly state: a histogram that cannot have come about")
        histogram.bins[indices] = counts
        histogram.total = int(histogram.bins.sum())
        return histogram, end
