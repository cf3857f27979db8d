"""A benchmarked process: what the system and its log tell of it."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from bench.process import Process

BUSY = "print('begun', flush=True)\nwhile True:\n    pass\n"


@pytest.fixture
def busy(tmp_path: Path) -> Generator[Process]:
    (tmp_path / "busy.py").write_text(BUSY)
    process = Process(["busy"], {"PYTHONPATH": str(tmp_path)})
    try:
        while "begun" not in process.said():
            process.verify()
            time.sleep(0.01)
        yield process
    finally:
        process.end()


def test_a_process_uses_its_own_time(busy: Process) -> None:
    before_s = busy.cpu_s()
    while busy.cpu_s() < before_s + 0.05:
        time.sleep(0.01)
    assert busy.cpu_s() < time.monotonic()


def test_a_stopped_process_uses_no_time_and_goes_on_afterwards(busy: Process) -> None:
    with busy.stopped():
        stood_s = busy.cpu_s()
        time.sleep(0.3)
        assert busy.cpu_s() == pytest.approx(stood_s, abs=0.05)
    while busy.cpu_s() < stood_s + 0.05:
        time.sleep(0.01)


def test_its_memory_is_at_most_what_it_ever_was(busy: Process) -> None:
    assert 0 < busy.rss_bytes() <= busy.peak_rss_mb() * 1024 * 1024


def test_a_process_that_ended_is_told_of_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "brief.py").write_text("import sys\nprint('a reason', flush=True)\nsys.exit(3)\n")
    process = Process(["brief"], {"PYTHONPATH": str(tmp_path)})
    while "a reason" not in process.said():
        time.sleep(0.01)
    process.end()
    with pytest.raises(SystemExit, match=r"ended with .*:\n.*a reason"):
        process.verify()
