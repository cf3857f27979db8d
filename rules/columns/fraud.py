"""What is computed over the purchases of a window that are known to be fraud, the purchase itself left out.

A fraud counts for the rows of its entity from one position to another: from the first behind it that is bought when
its label is known, to the first whose window begins behind it. Few rows are fraud, so that work is done for each
of these spans, and running totals bring it to the rows.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.columns.aggregates import half_even
from rules.columns.grouped import Grouped
from rules.columns.table import MISSING, NEVER_MS, Bools, Ints
from rules.feature_code import MAX_SUM_MINOR
from rules.plan import Aggregate

# So many pairs of a fraud and a row that it counts for are looked at at once.
_PAIRS: Final = 2**20


class Spans(NamedTuple):
    """Frauds, by their position, and the positions [begin, end) for which each counts; none is empty."""

    fraud: Ints
    begin: Ints
    end: Ints

    def where(self, chosen: Any) -> Spans:
        """Some of the spans."""
        return Spans(self.fraud[chosen], self.begin[chosen], self.end[chosen])


def over_fraud(aggregate: Aggregate, grouped: Grouped, starts: Ints, field: str | None) -> tuple[Ints, Bools]:
    """The values of a windowed aggregate at the asked positions, in their order, and where they are known."""
    spans = _spans(grouped, starts)
    counts = _covered(spans, np.ones(len(spans.fraud), np.int64), len(grouped))[grouped.asked]
    everywhere = np.ones(len(counts), np.bool_)
    if aggregate is Aggregate.COUNT:
        return counts, everywhere
    if aggregate is Aggregate.DISTINCT:
        assert field is not None, "distinct counts a field"
        return _distinct(grouped, spans, field)[grouped.asked], everywhere
    if aggregate in (Aggregate.MIN, Aggregate.MAX):
        extreme = _extreme(grouped, spans, smallest=aggregate is Aggregate.MIN)[grouped.asked]
        return np.where(counts > 0, extreme, 0), counts > 0
    amounts: NDArray[Any] = grouped.amounts[spans.fraud]
    if int(np.max(amounts, initial=0)) * max(len(amounts), 1) > MAX_SUM_MINOR:
        amounts = amounts.astype(object)
    totals = _covered(spans, amounts, len(grouped))[grouped.asked]
    if aggregate is Aggregate.AVG:
        return half_even(totals, np.maximum(counts, 1)).astype(np.int64), counts > 0
    return np.minimum(totals, MAX_SUM_MINOR).astype(np.int64), everywhere


def _spans(grouped: Grouped, starts: Ints) -> Spans:
    rows = grouped.rows
    fraud = np.flatnonzero(rows.fraud_known_ms[grouped.order] != NEVER_MS)
    known_ms = rows.fraud_known_ms[grouped.order[fraud]]
    begin = np.maximum(grouped.at_rows(fraud, np.searchsorted(rows.time_ms, known_ms)), fraud + 1)
    spans = Spans(fraud, begin, grouped.ends(starts)[fraud])
    return spans.where(spans.begin < spans.end)


def _covered(spans: Spans, weights: NDArray[Any], size: int) -> NDArray[Any]:
    """For each position the sum of the weights of the spans that it lies in."""
    change = np.zeros(size + 1, weights.dtype)
    np.add.at(change, spans.begin, weights)
    np.subtract.at(change, spans.end, weights)
    return np.cumsum(change)[:size]


def _distinct(grouped: Grouped, spans: Spans, field: str) -> Ints:
    """How many texts occur: spans of one text are brought together, so that each counts once."""
    codes = grouped.rows.codes[field][grouped.order]
    spans = spans.where(codes[spans.fraud] != MISSING)
    entity, text = grouped.first[spans.fraud], codes[spans.fraud]
    order = np.lexsort((spans.begin, text, entity))
    spans, entity, text = spans.where(order), entity[order], text[order]
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (entity[1:] != entity[:-1]) | (text[1:] != text[:-1])
    # Groups are lifted above each other, so that one running maximum serves all.
    lift = np.cumsum(fresh) * (len(grouped) + 1)
    reached = np.maximum.accumulate(spans.end + lift) - lift
    begin = spans.begin.copy()
    begin[1:] = np.where(fresh[1:], begin[1:], np.maximum(begin[1:], reached[:-1]))
    merged = Spans(spans.fraud, begin, spans.end).where(begin < spans.end)
    return _covered(merged, np.ones(len(merged.fraud), np.int64), len(grouped))


def _extreme(grouped: Grouped, spans: Spans, *, smallest: bool) -> Ints:
    """The smallest or the largest amount at each position, row by row of each span."""
    pick = np.minimum if smallest else np.maximum
    values = np.full(len(grouped), MAX_SUM_MINOR if smallest else 0, np.int64)
    lengths = spans.end - spans.begin
    part = np.cumsum(lengths) // _PAIRS
    for number in np.unique(part).tolist():
        some = np.flatnonzero(part == number)
        times = lengths[some]
        within = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
        pick.at(
            values, np.repeat(spans.begin[some], times) + within, np.repeat(grouped.amounts[spans.fraud[some]], times)
        )
    return values
