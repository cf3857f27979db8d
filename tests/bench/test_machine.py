"""Which cores a benchmark's processes are given."""

from __future__ import annotations

import os

import pytest

from bench.machine import pinned_to, place
from bench.process import Process


@pytest.mark.parametrize("cores", [4, 5, 16])
def test_with_four_cores_nobody_shares_one_with_the_measured_process(cores: int) -> None:
    placed = place(range(cores), pin=True)
    parts = placed.broker, placed.load, placed.measured
    assert sum(map(len, parts)) == len(frozenset[int]().union(*parts)) == cores
    assert len(placed.measured) == len(placed.load) == 1
    assert len(placed.broker) >= 2


@pytest.mark.parametrize(("cores", "pin"), [(2, True), (3, True), (8, False)])
def test_with_fewer_cores_or_on_request_all_share_all_and_the_head_says_so(cores: int, pin: bool) -> None:
    placed = place(range(cores), pin)
    assert placed.broker == placed.load == placed.measured == frozenset(range(cores))
    assert placed.said.startswith("no process is pinned")


def test_pinning_ends_with_its_block() -> None:
    before = os.sched_getaffinity(0)
    with pinned_to(frozenset({min(before)})):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_a_process_that_is_given_cores_is_on_these_alone() -> None:
    core = min(os.sched_getaffinity(0))
    process = Process(["http.server", "0", "--bind", "127.0.0.1"], {}, [core])
    try:
        assert os.sched_getaffinity(process.pid) == {core}
    finally:
        process.end()
