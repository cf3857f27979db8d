"""How much one key may ask."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from streams.gateway.api_key import ApiKey
from streams.gateway.backend import Answer
from streams.gateway.config import EdgeConfig
from streams.gateway.limits import KeyLimits
from streams.gateway.problems import ProblemError
from tests.streams.gateway.conftest import Gateway, key, purchase
from tests.streams.gateway.test_edge import Scripted, assert_problem


class Clock:
    """Stands for the clock of the limiter's storage."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr("limits.storage.memory.time", stopped)
    monkeypatch.setattr("streams.gateway.limits.time", stopped)
    return stopped


def passed(limits: KeyLimits, entry: ApiKey, requests: int) -> int:
    """How many of so many requests, one after the other, get through."""
    through = 0
    for _ in range(requests):
        try:
            limits.enter(entry)
        except ProblemError:
            continue
        limits.leave(entry)
        through += 1
    return through


def test_a_key_gets_its_rate_each_second(clock: Clock) -> None:
    limits, (entry, _) = KeyLimits(EdgeConfig()), key(rate_per_s=5)
    for _ in range(4):
        assert passed(limits, entry, 20) == 5
        clock.now_s += 1.001


def test_a_burst_passes_in_as_many_seconds_as_its_rate_takes(clock: Clock) -> None:
    limits, (entry, _) = KeyLimits(EdgeConfig()), key(rate_per_s=5, burst=20)
    assert passed(limits, entry, 100) == 20
    clock.now_s += 3.9
    assert passed(limits, entry, 100) == 0
    clock.now_s += 0.2
    assert passed(limits, entry, 100) == 20


def test_a_key_without_limits_has_the_gateways(clock: Clock) -> None:
    limits, (entry, _) = KeyLimits(EdgeConfig(key_rate_per_s=7)), key()
    assert passed(limits, entry, 20) == 7


def test_keys_do_not_share(clock: Clock) -> None:
    limits, (one, _), (other, _) = KeyLimits(EdgeConfig()), key(rate_per_s=5), key(rate_per_s=3)
    assert (passed(limits, one, 20), passed(limits, other, 20)) == (5, 3)


def test_a_key_that_was_lowered_is_held_to_it(clock: Clock) -> None:
    limits, (entry, _) = KeyLimits(EdgeConfig()), key(rate_per_s=50)
    assert passed(limits, entry, 20) == 20
    assert passed(limits, entry.model_copy(update={"rate_per_s": 5}), 20) == 5


def test_counting_starts_no_threads() -> None:
    before = threading.active_count()
    limits, (entry, _) = KeyLimits(EdgeConfig()), key()
    assert passed(limits, entry, 100) == 100
    assert threading.active_count() <= before


async def test_one_request_too_many_is_told_when_to_come_again(clock: Clock) -> None:
    entry, shown = key(rate_per_s=2, burst=6)
    gateway = Gateway(keys=[entry])
    told = [await gateway.ask("GET", "/v1/status", key=shown) for _ in range(7)]
    assert [each.status for each in told[:6]] == [200] * 6
    assert_problem(told[6], 429, "too-many-requests", f"the API key {entry.id} may ask 6 times in 3 s")
    assert told[6].headers["retry-after"] == "3"


class Waiting(Scripted):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__(Answer(b"{}", ()))
        self.let = asyncio.Event()

    async def decide(self, purchase: Any, deadline: Any) -> Any:
        await self.let.wait()
        return self.said


async def test_so_many_requests_of_a_key_are_under_way_at_once() -> None:
    entry, shown = key(max_in_flight=2)
    backend = Waiting()
    gateway = Gateway(backend, keys=[entry])
    under_way = [asyncio.create_task(gateway.ask("POST", "/v1/decisions", purchase(), shown)) for _ in range(2)]
    await asyncio.sleep(0)
    told = await gateway.ask("POST", "/v1/decisions", purchase(), shown)
    assert_problem(told, 429, "too-many-requests", "2 requests of the API key", "wait for their answers")
    assert told.headers["retry-after"] == "1"
    other = asyncio.create_task(gateway.decide())
    await asyncio.sleep(0)
    backend.let.set()
    assert [(await each).status for each in (*under_way, other)] == [200] * 3
    assert (await gateway.ask("POST", "/v1/decisions", purchase(), shown)).status == 200


async def test_a_request_that_fails_frees_its_place() -> None:
    entry, shown = key(max_in_flight=1)
    gateway = Gateway(Scripted(RuntimeError()), keys=[entry])
    for body in (b"{", b"", b"{}"):
        assert (await gateway.ask("POST", "/v1/decisions", body, shown)).status < 429
    assert (await gateway.ask("GET", "/v1/status", key=shown)).status == 500
    assert (await gateway.ask("GET", "/v1/status", key=shown)).status == 500
