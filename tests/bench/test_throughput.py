"""What the turns of a drain come to, and where Quix Streams is looked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.quix import find_quix
from bench.stage import Drain
from bench.throughput import BARE_LOOP, WORKER, WORKER_OF_SIXTY, Throughput

TURNS = [
    {WORKER: Drain(100.0, 10.0, 50.0), BARE_LOOP: Drain(50.0, 20.0, 30.0)},
    {WORKER: Drain(300.0, 10.0, 60.0), BARE_LOOP: Drain(100.0, 10.0, 30.0)},
    {WORKER: Drain(400.0, 30.0, 55.0), BARE_LOOP: Drain(400.0, 60.0, 30.0)},
]


def test_ratios_are_of_one_turn_and_not_of_medians() -> None:
    measured = Throughput(TURNS, 710.0)
    assert measured.rate_ratio(WORKER, BARE_LOOP) == (2.0, 1.0, 3.0)
    assert measured.cpu_ratio(WORKER, BARE_LOOP) == (0.5, 0.5, 1.0)


def test_json_has_each_contender_and_the_worker_beside_it() -> None:
    document = Throughput(TURNS, 710.0).document()
    assert document["state_bytes_per_purchase"] == 710.0
    assert document["contenders"][WORKER] == {
        "purchases_per_s": {"median": 300.0, "min": 100.0, "max": 400.0},
        "cpu_us": {"median": 10.0, "min": 10.0, "max": 30.0},
        "rss_mb": 60.0,
    }
    assert document["contenders"][BARE_LOOP]["worker_to_it_rate"] == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_the_workers_come_last_and_the_one_that_ratios_are_of_before_others() -> None:
    drain = TURNS[0][WORKER]
    measured = Throughput([{WORKER_OF_SIXTY: drain, WORKER: drain, BARE_LOOP: drain}], 710.0)
    assert measured.names() == [BARE_LOOP, WORKER, WORKER_OF_SIXTY]
    assert [line.split("  ")[1] for line in measured.text().splitlines()[1:]] == measured.names()


@pytest.mark.parametrize("python", [Path("no-such-folder") / "python", Path(sys.executable)])
def test_without_its_environment_there_is_no_quix_streams(python: Path) -> None:
    assert find_quix(python) is None
