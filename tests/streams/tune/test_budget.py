"""Which candidate is chosen under a budget."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.backtest.report import Caught
from streams.tune.budget import Choice, choose
from streams.tune.errors import TuneError
from streams.tune.options import Limits
from streams.tune.report import Budget, CandidateReport, Change, Figures


def candidate(fraud: int, cost: int, flagged: int = 0, blocked: int = 0, changes: int = 0) -> CandidateReport:
    """One of 1,000 purchases, 100 of them fraud."""
    caught = Caught(
        tp=fraud, fp=1, fn=100 - fraud, tn=899, precision=None, recall=fraud / 100, false_positives_per_fraud=None,
        amount_saved_minor=0, amount_wrongly_stopped_minor=cost, amount_missed_minor=0,
    )  # fmt: skip
    figures = Figures(
        purchases=1_000, amount_minor=0, flagged=flagged, blocked=blocked, flag_share=flagged / 1_000,
        block_share=blocked / 1_000, stopped=caught, only_blocked=caught, cost_minor=cost,
    )  # fmt: skip
    made = [Change(param=f"p{number}", present="1", value="2") for number in range(changes)]
    return CandidateReport(version="", changes=made, figures=figures, held_out=None)


def budget(flag: float | None = None, block: float | None = None, cost: int | None = None) -> Budget:
    return Budget(max_flag_share=flag, max_block_share=block, max_cost_minor=cost)


@pytest.mark.parametrize(
    ("candidates", "limits", "best"),
    [
        ([candidate(50, 9), candidate(60, 99)], budget(cost=1_000), 1),
        ([candidate(50, 9), candidate(60, 1_001)], budget(cost=1_000), 0),
        ([candidate(50, 1_000)], budget(cost=1_000), 0),
        ([candidate(50, 9), candidate(50, 8)], budget(cost=1_000), 1),
        ([candidate(50, 9, changes=2), candidate(50, 9, changes=1)], budget(cost=1_000), 1),
        ([candidate(50, 9, changes=1), candidate(50, 9, changes=1)], budget(cost=1_000), 0),
        ([candidate(50, 0, flagged=20), candidate(60, 0, flagged=21)], budget(flag=0.02), 0),
        ([candidate(50, 0, blocked=5), candidate(60, 0, blocked=6)], budget(block=0.005), 0),
        ([candidate(60, 0, flagged=3, blocked=9), candidate(50, 0, flagged=9)], budget(flag=0.01, block=0.001), 1),
        ([candidate(60, 9, flagged=3), candidate(50, 0, flagged=3)], budget(flag=0.01, cost=0), 1),
    ],
    ids=[
        "most-fraud", "over-cost", "up-to-it", "least-cost", "fewest-changes", "first", "flag", "block", "all-of-them",
        "of-nothing",
    ],
)  # fmt: skip
def test_the_best_within_the_budget(candidates: list[CandidateReport], limits: Budget, best: int) -> None:
    assert choose(candidates, limits) == Choice(best, None)


@pytest.mark.parametrize(
    ("candidates", "limits", "nearest"),
    [
        ([candidate(90, 3_000), candidate(10, 2_000)], budget(cost=1_000), 1),
        ([candidate(90, 2_000), candidate(95, 2_000)], budget(cost=1_000), 1),
        ([candidate(90, 0, flagged=40), candidate(10, 1_500, flagged=10)], budget(flag=0.02, cost=1_000), 1),
        ([candidate(90, 0, flagged=40, blocked=9), candidate(10, 0, blocked=9)], budget(flag=0.02, block=0.001), 1),
        ([candidate(90, 0, flagged=19, blocked=9), candidate(10, 0, blocked=9)], budget(flag=0.02, block=0.001), 0),
        ([candidate(90, 7), candidate(10, 3)], budget(cost=0), 1),
    ],
    ids=["least-over", "then-most-fraud", "by-the-worst-limit", "then-by-the-next", "kept-is-kept", "over-nothing"],
)
def test_what_comes_nearest_where_nothing_is_within(
    candidates: list[CandidateReport], limits: Budget, nearest: int
) -> None:
    assert choose(candidates, limits) == Choice(None, nearest)


def test_a_cost_is_in_the_currency_of_the_rules() -> None:
    assert Limits(max_cost=Decimal("10000.50")).budget("CNY") == budget(cost=1_000_050)
    assert Limits(max_cost=Decimal(10_000)).budget("JPY") == budget(cost=10_000)
    assert Limits(max_flag_share=0.0).budget("CNY") == budget(flag=0.0)
    assert Limits().budget("CNY") is None
    with pytest.raises(TuneError, match="JPY has 0 decimals"):
        Limits(max_cost=Decimal("0.5")).budget("JPY")
