"""Which cores benchmarked workers have, and what their turns come to."""

from __future__ import annotations

import pytest

from bench.figures import Spread
from bench.two_workers import CORES_TO_SPLIT, Pair, Turn, split


def test_with_too_few_cores_all_are_everybodys() -> None:
    cores = frozenset(range(CORES_TO_SPLIT - 1))
    assert split(cores) == ((cores, cores), cores, False)


def test_with_enough_cores_workers_have_one_each_and_all_others_the_rest() -> None:
    (one, other), others, apart = split([7, 0, 2, 3, 5])
    assert apart
    assert (one, other, others) == ({5}, {7}, {0, 2, 3})


def test_ratios_are_those_of_turns_in_the_same_round() -> None:
    def turn(rate: float, cpu_us: float) -> Turn:
        return Turn(rate, cpu_us, [], [])

    pair = Pair([turn(100, 10), turn(50, 20), turn(200, 10)], [turn(150, 10), turn(100, 25), turn(340, 10)])
    assert pair.rate_ratio() == pytest.approx(Spread(1.7, 1.5, 2.0))
    assert pair.cpu_ratio() == pytest.approx(Spread(1.0, 1.0, 1.25))
