"""What a consumer asks next, held against aiokafka's own way."""

# aiokafka is typed in part only, and what is compared here has no public name.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import Assignment
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.quick_fetcher import QuickFetcher

TPS = [TopicPartition(topic, number) for topic in ("purchases", "assessments") for number in range(3)]


class Part(NamedTuple):
    """A partition of a consumer; `kept_s` is how long what it has sent is waited for to be taken, None: nothing was."""

    position: int | None
    leader: int | None
    is_paused: bool = False
    kept_s: float | None = None


usual = st.tuples(st.integers(0, 9), st.integers(1, 2)).map(lambda part: Part(*part))
any_part = st.tuples(
    st.none() | st.integers(0, 9),
    st.sampled_from([1, 2, -1, None]),
    st.booleans(),
    st.none() | st.sampled_from([0.0, 0.05]),
).map(Part._make)


def fetcher_of(kind: type[Fetcher], parts: list[Part], brokers: set[int], in_flight: set[int]) -> Any:
    leaders = {tp: part.leader for tp, part in zip(TPS, parts, strict=False)}
    cluster = SimpleNamespace(_brokers=dict.fromkeys(brokers), leader_for_partition=leaders.get)
    fetcher: Any = kind.__new__(kind)
    fetcher._client = SimpleNamespace(cluster=cluster)
    fetcher._in_flight = in_flight
    fetcher._records = {
        tp: SimpleNamespace(calculate_backoff=lambda part=part: part.kept_s)
        for tp, part in zip(TPS, parts, strict=False)
        if part.kept_s is not None
    }
    fetcher._preferred_read_replica, fetcher._client_rack = {}, None
    fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes, fetcher._fetch_max_bytes = 50, 1, 1_000
    fetcher._max_partition_fetch_bytes, fetcher._isolation_level, fetcher._fetcher_timeout = 100, 0, 0.2
    return fetcher


async def actions(kind: type[Fetcher], parts: list[Part], brokers: set[int], in_flight: set[int]) -> tuple[Any, ...]:
    assignment: Any = Assignment(TPS[: len(parts)])
    for tp, part in zip(TPS, parts, strict=False):
        if part.position is not None:
            assignment.state_value(tp).seek(part.position)
        if part.is_paused:
            assignment.state_value(tp).pause()
    fetcher = fetcher_of(kind, parts, brokers, in_flight)
    requests, resets, timeout_s, is_stale, paused = fetcher._get_actions_per_node(assignment)
    asked = {
        node: (request._max_bytes, {topic: sorted(asked) for topic, asked in request.topics})
        for node, request in requests
    }
    return (
        asked,
        {node: set(tps) for node, tps in resets.items()},
        timeout_s,
        is_stale,
        len(paused),
        fetcher._is_waiting() if kind is QuickFetcher else None,
    )


def both(parts: list[Part], brokers: set[int], in_flight: set[int]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    async def ask() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return (
            await actions(QuickFetcher, parts, brokers, in_flight),
            await actions(Fetcher, parts, brokers, in_flight),
        )

    return asyncio.run(ask())


@given(st.lists(usual, max_size=6))
def test_partitions_that_all_may_be_asked_for_are_asked_for_at_once(parts: list[Part]) -> None:
    ours, theirs = both(parts, {1, 2}, set())
    assert ours[:5] == theirs[:5]


@given(st.lists(any_part, max_size=6), st.sets(st.sampled_from([1, 2]), min_size=1), st.sets(st.sampled_from([1, 2])))
def test_all_others_are_asked_for_as_aiokafka_does(parts: list[Part], brokers: set[int], in_flight: set[int]) -> None:
    parts = [part._replace(leader=min(brokers)) if len(brokers) == 1 else part for part in parts]
    ours, theirs = both(parts, brokers, in_flight & brokers)
    assert ours[0] == theirs[0]
    # While nobody can be asked for records, nothing else is done either: it is done next.
    if not ours[5]:
        assert ours[:5] == theirs[:5]
