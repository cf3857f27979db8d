"""Rows that stand for several purchases: what is kept of them, and which rows of a log merge."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# The share of everything newer that a merged row may stand for, at first; doubled while that frees too little.
_FIRST_SHARE = 1 / 512


class MergedRows:
    """What rows that stand for several purchases need beside their sums: for each row of a log, merged or not.

    `counts` are running totals of purchases, before each row and behind the last; `lows` and `highs` the smallest and
    the largest amounts.
    """

    __slots__ = ("counts", "highs", "lows")

    def __init__(self, amounts: Sequence[int]) -> None:
        """Rows of one purchase each."""
        self.counts = array("q", range(len(amounts) + 1))
        self.lows = array("q", amounts)
        self.highs = array("q", amounts)

    def append(self, count: int, low_minor: int, high_minor: int) -> None:
        """One row more, the newest: `count` purchases."""
        self.counts.append(self.counts[-1] + count)
        self.lows.append(low_minor)
        self.highs.append(high_minor)

    def merge(self, staying: npt.NDArray[np.bool_]) -> None:
        """Put each row that does not stay into the one behind it."""
        begins = np.concatenate(([0], np.flatnonzero(staying)[:-1] + 1))
        self.lows = _array_of(np.minimum.reduceat(np.frombuffer(self.lows, np.int64), begins))
        self.highs = _array_of(np.maximum.reduceat(np.frombuffer(self.highs, np.int64), begins))
        self.counts = compressed(self.counts, behind(staying))


def behind(staying: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which running totals stay: the first, and what is behind a row that does."""
    return np.concatenate(([True], staying))


def compressed(numbers: array[int], staying: npt.NDArray[np.bool_]) -> array[int]:
    """The numbers that stay."""
    return _array_of(np.frombuffer(numbers, np.int64)[staying])


def _array_of(numbers: npt.NDArray[np.int64]) -> array[int]:
    return array("q", numbers.tobytes())


def merging(counts: array[int], target: int) -> list[int]:
    """Which rows go into the next one when a log of running totals `counts` is brought down to `target` rows."""
    ends, share = np.array(counts, np.int64), _FIRST_SHARE
    # By their places in `ends` the rows that are left.
    rows, gone = np.arange(-1, len(ends) - 1), list[int]()
    while (spare := len(ends) - 1 - target) > 0:
        newer = ends[-1] - ends
        # What each pair of neighbours stands for, beside what is newer; nothing is newer than the last.
        ratios = (ends[2:-1] - ends[:-3]) / newer[2:-1]
        # Not before there are so many pairs that it may be enough.
        wanted = min(spare, len(ratios)) - 1
        least = np.partition(ratios, wanted)[wanted]
        while share < least:
            share *= 2
        # How far a row that begins at a place may reach.
        reach = (ends - share * newer).searchsorted(ends, "right") - 1
        places = np.array(_taken_in(reach)[:spare], np.intp)
        gone += rows[places].tolist()
        staying = np.ones(len(ends), np.bool_)
        staying[places] = False
        ends, rows = ends[staying], rows[staying]
        share *= 2
    return sorted(gone)


def _taken_in(reach: npt.NDArray[np.int64]) -> list[int]:
    """One pass from the oldest row: each that may `reach` over others goes as far as it may, and takes those in."""
    begin, places = 0, list[int]()
    pairs = np.flatnonzero(reach > np.arange(1, len(reach) + 1))
    for place, end in zip(pairs.tolist(), reach[pairs].tolist(), strict=True):
        if place >= begin:
            places += range(place + 1, end)
            begin = end
    return places
