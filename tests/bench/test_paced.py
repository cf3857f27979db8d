"""Latencies from what was due, sent and heard, and a load on a real broker."""

from __future__ import annotations

import asyncio
import uuid

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.open_loop import precise_loop
from bench.paced import Arrival, Load, Paced, times_of
from bench.stage import purchases_ending_now

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false


def answer(name: str) -> bytes:
    return orjson.dumps({"transaction_id": name, "action": "approve"})


def test_latency_counts_from_when_a_purchase_was_due_and_not_from_when_it_was_sent() -> None:
    arrivals = [Arrival(0.5, [answer("first")]), Arrival(1.5, [answer("b")]), Arrival(2.0, [answer("a")])]
    times = times_of({"a": 1.0, "b": 1.25}, [1.125, 1.25], arrivals)
    assert times.latency_ms == [1000.0, 250.0]
    assert times.late_ms == [125.0, 0.0]


def test_of_a_purchase_that_is_answered_twice_the_first_answer_counts() -> None:
    arrivals = [Arrival(1.5, [answer("a")]), Arrival(9.0, [answer("a")])]
    assert times_of({"a": 1.0}, [1.0], arrivals).latency_ms == [500.0]


def test_a_purchase_without_an_answer_ends_the_measurement() -> None:
    with pytest.raises(SystemExit, match="1 of 2 purchases were not answered"):
        times_of({"a": 1.0, "b": 2.0}, [1.0, 2.0], [Arrival(1.5, [answer("a")])])


def test_a_load_on_one_topic_hears_each_purchase_after_it_was_due(kafka: str) -> None:
    topic = f"paced-{uuid.uuid4().hex}"
    purchases = [record.value for record in purchases_ending_now(100)]

    async def measure() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 2, 1)])
        await admin.close()
        times = await Paced(Load(kafka, topic, topic, 200.0)).measure(purchases)
        assert len(times.latency_ms) == len(times.late_ms) == 100
        assert min(times.late_ms) >= 0
        assert all(took > late for took, late in zip(times.latency_ms, times.late_ms, strict=True))

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(measure())
