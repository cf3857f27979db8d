"""The Pareto front against an oracle that compares each candidate with every other."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.tune.front import Standing, pareto_front

FEW = st.integers(0, 6)
STANDINGS = st.lists(st.tuples(FEW, FEW, st.integers(0, 2)), max_size=25).map(
    lambda drawn: [Standing(number, *each) for number, each in enumerate(drawn)]
)


def beats(one: Standing, other: Standing) -> bool:
    as_good = one.fraud >= other.fraud and one.good <= other.good
    if (one.fraud, one.good) != (other.fraud, other.good):
        return as_good
    return (one.changes, one.number) < (other.changes, other.number)


@given(STANDINGS)
def test_on_the_front_are_those_that_no_other_beats(standings: list[Standing]) -> None:
    expected = [each for each in standings if not any(beats(other, each) for other in standings)]
    assert pareto_front(standings) == [each.number for each in sorted(expected, key=lambda each: each.good)]


@given(STANDINGS)
def test_along_the_front_more_fraud_costs_more_good_purchases(standings: list[Standing]) -> None:
    front = [standings[number] for number in pareto_front(standings)]
    for one, next_one in pairwise(front):
        assert one.fraud < next_one.fraud
        assert one.good < next_one.good


def test_of_those_that_are_alike_the_one_with_fewer_changes_is_on_it() -> None:
    assert pareto_front([Standing(0, 5, 2, 2), Standing(1, 5, 2, 1), Standing(2, 5, 2, 1)]) == [1]
