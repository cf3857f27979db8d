"""The figures that detection is judged by, against their definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ranking import auc_roc, average_precision, card_precision

scored = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: {mark for _, mark in pairs} == {True, False}
)


@given(scored)
def test_the_area_under_the_roc_curve_is_the_share_of_pairs_in_the_right_order(
    pairs: list[tuple[int, bool]],
) -> None:
    frauds = [value for value, mark in pairs if mark]
    genuine = [value for value, mark in pairs if not mark]
    won = sum((fraud > other) + (fraud == other) / 2 for fraud in frauds for other in genuine)
    scores = np.array([value for value, _ in pairs], dtype=np.float64)
    marks = np.array([mark for _, mark in pairs])
    assert auc_roc(scores, marks) == pytest.approx(won / (len(frauds) * len(genuine)))


@given(scored)
def test_average_precision_adds_the_precision_at_each_threshold(pairs: list[tuple[int, bool]]) -> None:
    total = sum(mark for _, mark in pairs)
    expected = 0.0
    for threshold in {value for value, _ in pairs}:
        taken = [mark for value, mark in pairs if value >= threshold]
        gained = sum(mark for value, mark in pairs if value == threshold)
        expected += gained / total * sum(taken) / len(taken)
    scores = np.array([value for value, _ in pairs], dtype=np.float64)
    marks = np.array([mark for _, mark in pairs])
    assert average_precision(scores, marks) == pytest.approx(expected)


def test_card_precision_takes_each_card_once_a_day_at_its_highest_score() -> None:
    day = [("a", 0.1, True), ("a", 0.9, False), ("b", 0.5, False), ("c", 0.2, True)]
    assert card_precision([day], 2, remove_detected=False) == 0.5


def test_card_precision_can_leave_cards_out_that_were_detected_on_a_day_before() -> None:
    days = [[("a", 0.9, True), ("b", 0.1, False)], [("a", 0.9, True), ("b", 0.1, False)]]
    assert card_precision(days, 1, remove_detected=False) == 1.0
    assert card_precision(days, 1, remove_detected=True) == 0.5
