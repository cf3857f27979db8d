"""Purchases at a fixed rate, and how long after each was due its decision arrived."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.rig import Rig, Sent
from streams.settings import Settings
from streams.topics import DECISIONS, PURCHASES

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

_HEAD_START_S = 0.5
_PATIENCE_S = 60.0


async def latencies_ms(rig: Rig, settings: Settings, purchases: Sequence[Sent], rate: float) -> list[float]:
    """Milliseconds from when each purchase was due to the arrival of its decision, in their order.

    Raises TimeoutError where a decision does not come.
    """
    numbers = {orjson.loads(each.value)["transaction_id"]: number for number, each in enumerate(purchases)}
    topic = settings.topic_prefix + DECISIONS
    consumer = AIOKafkaConsumer(bootstrap_servers=rig.servers, fetch_max_wait_ms=50)
    producer = AIOKafkaProducer(bootstrap_servers=rig.servers, acks="all")
    gc.collect()
    # A pause of our own would be counted as the worker's.
    gc.disable()
    try:
        await consumer.start()
        await producer.start()
        tps = [TopicPartition(topic, number) for number in range(rig.partitions)]
        consumer.assign(tps)
        for tp, end in (await consumer.end_offsets(tps)).items():
            consumer.seek(tp, end)
        start_s = time.monotonic() + _HEAD_START_S
        arrived_s = asyncio.create_task(_arrivals(consumer, numbers))
        for number, (account_id, value) in enumerate(purchases):
            await asyncio.sleep(max(0.0, start_s + number / rate - time.monotonic()))
            await producer.send(settings.topic_prefix + PURCHASES, value, key=account_id.encode())
        seen_s = await asyncio.wait_for(arrived_s, _PATIENCE_S)
        return [(seen_s[number] - start_s - number / rate) * 1000 for number in range(len(purchases))]
    finally:
        gc.enable()
        await producer.stop()
        await consumer.stop()


async def _arrivals(consumer: AIOKafkaConsumer, numbers: dict[str, int]) -> dict[int, float]:
    """When the decision on each of these transactions arrived."""
    arrived_s: dict[int, float] = {}
    while len(arrived_s) < len(numbers):
        fetched = await consumer.getmany(timeout_ms=500)
        now_s = time.monotonic()
        for records in fetched.values():
            for record in records:
                number = numbers.get(orjson.loads(record.value or b"")["transaction_id"])
                if number is not None:
                    arrived_s.setdefault(number, now_s)
    return arrived_s
