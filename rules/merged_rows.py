"""Rows that stand for several purchases: what is kept of them, and which rows of a log merge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

# The share of everything newer that a merged row may stand for, at first; doubled while that frees too little.
_FIRST_SHARE = 1 / 512


class MergedRows:
    """What rows that stand for several purchases need beside their sums: for each row of a log, merged or not.

    `counts` are running totals of purchases, before each row and behind the last; `lows` and `highs` the smallest and
    the largest amounts.
    """

    __slots__ = ("counts", "highs", "lows")

    def __init__(self, counts: list[int], lows: list[int], highs: list[int]) -> None:
        self.counts = counts
        self.lows = lows
        self.highs = highs

    def append(self, count: int, low_minor: int, high_minor: int) -> None:
        """One row more, the newest: `count` purchases."""
        self.counts.append(self.counts[-1] + count)
        self.lows.append(low_minor)
        self.highs.append(high_minor)


def staying(counts: Sequence[int], target: int) -> bytearray:
    """Which rows stay when a log is merged down to `target` rows, of running totals `counts`: 1, and else 0."""
    total, before = counts[-1], counts[0]
    # Totals behind each row that is left, without the oldest of all.
    ends = list(counts[1:])
    ratios = [(end - begin) / (total - end) for begin, end in zip(counts, ends[1:-1], strict=False)]
    least, share = min(ratios, default=math.inf), _FIRST_SHARE
    while len(ends) > target:
        # Before that no pair is small enough.
        if share >= least:
            ends = _merged(ends, before, share, len(ends) - target)
        share *= 2
    left = set(ends)
    return bytearray([end in left for end in counts[1:]])


def _merged(ends: list[int], before: int, share: float, spare: int) -> list[int]:
    """One pass from the oldest: the totals behind the rows that stay, each taking in those before it."""
    total = ends[-1]
    # Two purchases are the least that a pair stands for.
    last = total - 2 / share
    merged: list[int] = []
    for position, (end, after) in enumerate(pairwise(ends)):
        if not spare or after > last:
            return [*merged, *ends[position:]]
        if after - before <= share * (total - after):
            spare -= 1
        else:
            merged.append(end)
            before = end
    return [*merged, total]
