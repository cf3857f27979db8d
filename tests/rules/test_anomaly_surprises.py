"""The probabilities behind the surprises, against sums written out."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.anomaly.amount import normal_surprise
from rules.anomaly.habit import Habit
from rules.anomaly.novelty import Novelty
from rules.anomaly.pace import poisson_surprise


@given(st.floats(0, 5))
def test_the_surprise_of_a_deviation_is_its_two_sided_normal_tail(deviations: float) -> None:
    tail = 2.0 * NormalDist().cdf(-deviations)
    assert normal_surprise(deviations) == pytest.approx(-math.log(tail), rel=1e-6, abs=1e-9)


def test_far_deviations_are_as_surprising_as_their_asymptote_says() -> None:
    assert normal_surprise(8.0) == pytest.approx(normal_surprise(8.0 - 1e-12), rel=1e-3)
    assert normal_surprise(100.0) > normal_surprise(50.0) > 1_000.0


@given(st.integers(1, 30), st.floats(0.001, 10))
def test_the_surprise_of_a_burst_never_exceeds_that_of_its_poisson_tail(count: int, mean: float) -> None:
    tail = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count, count + 200))
    assert 0.0 <= poisson_surprise(count, mean) <= -math.log(min(tail, 1.0)) + 1e-9


@given(st.lists(st.integers(0, 5), min_size=1, max_size=100), st.integers(0, 6))
def test_a_value_is_as_likely_as_all_that_were_seen_as_rarely(seen: list[int], value: int) -> None:
    habit, novelty = Habit(8), Novelty()
    for each in seen:
        habit.learn(each)
    counts = {each: seen.count(each) for each in seen}
    known = sum(count for count in counts.values() if count <= counts.get(value, 0)) / len(seen)
    novel = (len(counts) - 1 + 2 * novelty.rate()) / (len(seen) - 1 + 2)
    expected = novel + (1 - novel) * known if value in counts else novel
    if len(counts) == 1 and value in counts:
        expected = 1.0
    assert habit.tail(value, novelty) == pytest.approx(expected)


def test_a_habit_makes_room_for_new_values_and_forgets_old_ones() -> None:
    habit, novelty = Habit(2), Novelty()
    for value in (1, 1, 2, 3):
        habit.learn(value)
    assert list(habit.values) == [1, 3]
    for _ in range(300):
        habit.learn(3)
    assert habit.values.keys() == {3}
    assert habit.trials < Habit.FADE_AT
    assert habit.tail(1, novelty) < 0.05


@given(st.lists(st.integers(0, 2**32 - 1), max_size=200))
def test_a_habit_reads_back_as_its_own_bytes(seen: list[int]) -> None:
    habit = Habit(8)
    for each in seen:
        habit.learn(each)
    raw = habit.encode()
    again, at = Habit.decode(raw, 0, 8)
    assert at == len(raw)
    assert again.encode() == raw
    assert list(again.values.items()) == list(habit.values.items())
