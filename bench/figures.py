"""What several turns of one measurement come to: medians, spreads and percentiles."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """A figure over all turns."""

    median: float
    least: float
    most: float

    def text(self, digits: int = 0) -> str:
        """For people: the median, and from where to where the turns lie."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}..{self.most:,.{digits}f})"

    def document(self, digits: int = 3) -> dict[str, float]:
        """For JSON."""
        return {
            "median": round(self.median, digits),
            "min": round(self.least, digits),
            "max": round(self.most, digits),
        }


def spread(values: Iterable[float]) -> Spread:
    """Of one value a turn, one turn at least."""
    each = list(values)
    return Spread(statistics.median(each), min(each), max(each))


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
