"""Exact sums of money by group: numpy's own would overflow, or round."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.columns.table import Ints

_LOW_BITS: Final = 32
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
# So many parts of 32 bits add up without a rounding in 53 bits.
_MOST_ROWS: Final = 1 << 21


def counts_of(groups: NDArray[np.intp], size: int) -> list[int]:
    """How many rows each of the groups 0 to size - 1 has."""
    return np.bincount(groups, minlength=size).tolist()


def sums_of(groups: NDArray[np.intp], amounts: Ints, size: int) -> list[int]:
    """The sum of each group's amounts, which are from 0 to 10^18."""
    sums = [0] * size
    for begin in range(0, len(groups), _MOST_ROWS):
        rows = slice(begin, begin + _MOST_ROWS)
        low = np.bincount(groups[rows], (amounts[rows] & _LOW_MASK).astype(np.float64), size)
        high = np.bincount(groups[rows], (amounts[rows] >> _LOW_BITS).astype(np.float64), size)
        for group in range(size):
            sums[group] += int(low[group]) + (int(high[group]) << _LOW_BITS)
    return sums


def sum_of(amounts: Ints) -> int:
    """The sum of amounts from 0 to 10^18."""
    return (int((amounts >> _LOW_BITS).sum()) << _LOW_BITS) + int((amounts & _LOW_MASK).sum())
