"""A worker that was away for too long does not write."""

from __future__ import annotations

import asyncio

import pytest

from streams.engine.pause_guard import PausedError, PauseGuard, awake_s


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_short_pause_is_nothing_and_a_long_one_is_told() -> None:
    clock = Clock()
    guard = PauseGuard(6.0, clock)
    clock.now_s += 6.0
    guard.verify()
    clock.now_s += 0.1
    with pytest.raises(PausedError, match=r"away for 6\.1 s, and the group waits for 6\.0 s"):
        guard.verify()


def test_work_that_took_long_is_no_pause() -> None:
    clock = Clock()
    guard = PauseGuard(6.0, clock)
    clock.now_s += 60.0
    guard.touch()
    guard.verify()


def test_the_clock_goes_forward() -> None:
    assert awake_s() <= awake_s()


async def test_the_watch_ends_with_the_pause_that_it_saw() -> None:
    clock = Clock()
    guard = PauseGuard(6.0, clock)
    watching = asyncio.create_task(guard.watch())
    await asyncio.sleep(0)
    clock.now_s += 7.0
    with pytest.raises(PausedError):
        await asyncio.wait_for(watching, 5)
