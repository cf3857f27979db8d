"""The best candidate under a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from streams.tune.report import Budget, CandidateReport, Figures


class Choice(NamedTuple):
    """The number of the best candidate within the budget, None if none is; else of the one that comes nearest."""

    best: int | None
    nearest: int | None


def choose(candidates: Sequence[CandidateReport], budget: Budget) -> Choice:
    """Choose by the figures of the first part: the most fraud stopped, then the least cost, then the fewest changes.

    Nearest to the budget is what exceeds the limit that it exceeds most by the smallest factor, and of these what does
    so with the next limit. Between those that are alike the first is chosen.
    """
    within = [number for number, each in enumerate(candidates) if not any(_excesses(each.figures, budget))]
    if within:
        return Choice(min(within, key=lambda number: _rank(candidates[number])), None)

    def distance(number: int) -> tuple[list[float], float, tuple[int, int, int]]:
        figures = candidates[number].figures
        return _excesses(figures, budget), _above_nothing(figures, budget), _rank(candidates[number])

    return Choice(None, min(range(len(candidates)), key=distance))


def _excesses(figures: Figures, budget: Budget) -> list[float]:
    """By which factor each limit is exceeded, the largest first; 0 where one is kept."""
    factors = (is_now / limit if limit else inf for is_now, limit in _limited(figures, budget) if is_now > limit)
    kept = (0.0 for is_now, limit in _limited(figures, budget) if is_now <= limit)
    return sorted([*factors, *kept], reverse=True)


def _above_nothing(figures: Figures, budget: Budget) -> float:
    """How far limits of nothing at all are exceeded, which no factor tells."""
    return sum(is_now for is_now, limit in _limited(figures, budget) if not limit)


def _limited(figures: Figures, budget: Budget) -> Iterator[tuple[float, float]]:
    for is_now, limit in (
        (figures.flag_share, budget.max_flag_share),
        (figures.block_share, budget.max_block_share),
        (figures.cost_minor, budget.max_cost_minor),
    ):
        if limit is not None and is_now is not None:
            yield is_now, limit


def _rank(candidate: CandidateReport) -> tuple[int, int, int]:
    return -candidate.figures.stopped.tp, candidate.figures.cost_minor, len(candidate.changes)
