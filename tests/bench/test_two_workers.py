"""Which cores benchmarked workers have."""

from __future__ import annotations

import os

from bench.two_workers import CORES_TO_PIN, Cores


def test_with_too_few_cores_nobody_is_moved() -> None:
    before = os.sched_getaffinity(0)
    cores = Cores(range(CORES_TO_PIN - 1))
    cores.take_others()
    cores.give(1, os.getpid())
    assert not cores.enough
    assert os.sched_getaffinity(0) == before


def test_with_enough_cores_workers_have_theirs_and_all_others_the_rest() -> None:
    cores = Cores([0, 2, 3, 5, 7])
    assert cores.enough
    assert cores.workers == [0, 2]
    assert cores.others == {3, 5, 7}
