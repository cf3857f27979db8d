"""What is computed over windows that end at each purchase: one function an aggregate, for all asked rows at once.

A window is the positions from its start to the purchase itself, which counts too.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rules.columns.grouped import Grouped
from rules.columns.table import MISSING, Bools, Ints
from rules.feature_code import MAX_SUM_MINOR
from rules.plan import Aggregate

_OF_AMOUNTS: Final = {Aggregate.MIN: np.minimum, Aggregate.MAX: np.maximum}


def over_windows(aggregate: Aggregate, grouped: Grouped, starts: Ints, field: str | None) -> Ints:
    """The values of a windowed aggregate at the asked positions, in their order; all are known."""
    if aggregate is Aggregate.COUNT:
        return grouped.asked - starts + 1
    if aggregate is Aggregate.DISTINCT:
        assert field is not None, "distinct counts a field"
        return _distinct(grouped, starts, field)
    if aggregate in _OF_AMOUNTS:
        return _extreme(_OF_AMOUNTS[aggregate], grouped, starts)
    totals = _totals(grouped, starts)
    if aggregate is Aggregate.AVG:
        return half_even(totals, grouped.asked - starts + 1).astype(np.int64)
    return np.minimum(totals, MAX_SUM_MINOR).astype(np.int64)


def _totals(grouped: Grouped, starts: Ints) -> NDArray[Any]:
    """Sums of amounts; as Python's own integers where some could outgrow 64 bits."""
    amounts: NDArray[Any] = grouped.amounts
    if int(np.max(amounts, initial=0)) * grouped.largest > MAX_SUM_MINOR:
        amounts = amounts.astype(object)
    # Running totals may pass 64 bits and come round: their differences are right all the same.
    running = np.concatenate([np.zeros(1, amounts.dtype), np.cumsum(amounts)])
    return running[grouped.asked + 1] - running[starts]


def half_even(totals: NDArray[Any], counts: Ints) -> NDArray[Any]:
    """totals / counts, rounded half to even."""
    quotient = totals // counts
    twice = 2 * (totals - quotient * counts.astype(totals.dtype))
    return quotient + ((twice > counts) | ((twice == counts) & (quotient % 2 == 1)))


def _extreme(pick: np.ufunc, grouped: Grouped, starts: Ints) -> Ints:
    """Smallest or largest amounts: of the two runs, each a power of two long, that cover a window."""
    lengths = grouped.asked - starts + 1
    values = np.empty(len(lengths), np.int64)
    runs, length = grouped.amounts, 1
    while True:
        here = np.flatnonzero((lengths >= length) & (lengths < 2 * length))
        values[here] = pick(runs[starts[here]], runs[grouped.asked[here] - length + 1])
        if int(np.max(lengths, initial=0)) < 2 * length:
            return values
        runs = pick(runs[:-length], runs[length:])
        length *= 2


def _distinct(grouped: Grouped, starts: Ints, field: str) -> Ints:
    """How many texts occur: at each position those count that are in the window and come later no more.

    So a row counts from its own position until its text comes again or its window is left.
    """
    size = len(grouped)
    present = grouped.rows.codes[field][grouped.order] != MISSING
    until = np.minimum(grouped.next_same(field), grouped.ends(starts))
    change = present.astype(np.int64)
    change -= np.bincount(until[present], minlength=size + 1)[:size]
    return np.cumsum(change)[grouped.asked]


def since_last(grouped: Grouped, horizon_ms: int) -> tuple[Ints, Bools]:
    """Milliseconds since the entity's purchase before, and whether there is one that the horizon reaches."""
    asked, times_ms = grouped.asked, grouped.times_ms
    before = np.maximum(asked - 1, 0)
    gaps = times_ms[asked] - times_ms[before]
    known = (asked > grouped.first[asked]) & (gaps <= horizon_ms)
    return np.where(known, gaps, 0), known


def first_seen_ms(grouped: Grouped, reach_ms: int, earlier_ms: Ints) -> Ints:
    """When the entity of each asked position was first seen: it is new again where nothing is in reach.

    `earlier_ms` has what this function gave for the rows of earlier tables.
    """
    times_ms, rows = grouped.times_ms, grouped.rows
    fresh = grouped.begins.copy()
    fresh[1:] |= times_ms[1:] - times_ms[:-1] >= reach_ms
    carried = grouped.order < rows.begin
    seen = times_ms.copy()
    seen[carried] = earlier_ms[grouped.order[carried]]
    anchor = np.maximum.accumulate(np.where(fresh | carried, np.arange(len(grouped)), 0))
    return seen[anchor][grouped.asked]
