"""Rows that stand for several purchases: what is kept of them, and which rows of a log merge."""

from __future__ import annotations

from collections.abc import Sequence

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


def merging(counts: Sequence[int], target: int) -> list[int]:
    """Which rows go into the next one when a log of running totals `counts` is brought down to `target` rows."""
    total, ends, share = counts[-1], list(counts), _FIRST_SHARE
    # By their places in `ends` the rows that are left.
    rows, gone = list(range(-1, len(ends) - 1)), list[int]()
    while len(ends) - 1 > target:
        # What each pair of neighbours stands for, beside what is newer; nothing is newer than the last.
        ratios = [(after - before) / (total - after) for before, after in zip(ends, ends[2:-1], strict=False)]
        least = min(ratios)
        while share < least:
            share *= 2
        for place in reversed(_small(ends, ratios, share, len(ends) - 1 - target)):
            gone.append(rows.pop(place))
            del ends[place]
        share *= 2
    return sorted(gone)


def _small(ends: list[int], ratios: list[float], share: float, spare: int) -> list[int]:
    """One pass from the oldest row: the places in `ends`, `spare` at most, of rows that go into the next one.

    `ends` are totals before the first row and behind each. Each row that stays takes in those before it.
    """
    total, begin, places = ends[-1], 0, list[int]()
    # Only where a pair is small enough there is something to look at.
    for place in [place for place, ratio in enumerate(ratios) if ratio <= share]:
        if place < begin:
            continue
        before, row = ends[place], place
        while spare and ends[row + 2] - before <= share * (total - ends[row + 2]):
            row += 1
            places.append(row)
            spare -= 1
        begin = row + 1
    return places
