"""Candidates in words."""

from __future__ import annotations

from typing import Final

from models.money import format_minor
from streams.tune.report import Budget, CandidateReport, TuneReport

AS_IT_IS: Final = "as it is"


def changes_in_words(candidate: CandidateReport) -> str:
    """What a candidate changes: `burst 5 → 4, large 500.00 → 300.00`."""
    return ", ".join(changes_told(candidate))


def changes_told(candidate: CandidateReport) -> list[str]:
    """The same, one by one."""
    told = [f"{change.param} {change.present} → {change.value}" for change in candidate.changes]
    return told or [AS_IT_IS]


def values_in_words(candidate: CandidateReport) -> str:
    """The values that a candidate changes, a line each: `burst 4`."""
    return "\n".join(f"{change.param} {change.value}" for change in candidate.changes) or AS_IT_IS


def shown_front(report: TuneReport, most: int) -> list[int]:
    """Candidates of the front, in order: all, or as many as are wanted, both ends and evenly between them."""
    front = report.front
    if len(front) <= most:
        return list(front)
    places = {round(step * (len(front) - 1) / (most - 1)) for step in range(most)}
    return [front[place] for place in sorted(places)]


def budget_in_words(budget: Budget, currency: str) -> str:
    """A budget's limits: `flagged at most 2%, cost at most 10,000.00 CNY`."""
    limits = {
        "flagged": None if budget.max_flag_share is None else f"{budget.max_flag_share:.4%}",
        "blocked": None if budget.max_block_share is None else f"{budget.max_block_share:.4%}",
    }
    told = [f"{what} at most {_short(limit)}" for what, limit in limits.items() if limit is not None]
    if budget.max_cost_minor is not None:
        told.append(f"cost at most {format_minor(budget.max_cost_minor, currency)}")
    return ", ".join(told)


def _short(share: str) -> str:
    return share.removesuffix("%").rstrip("0").rstrip(".") + "%"
