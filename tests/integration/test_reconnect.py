"""Clients whose broker goes away."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.broker.kafka import KafkaBroker
from streams.reconnect import RECONNECT_WAIT_S, unhurried
from tests.integration.cluster import create_topics

AWAY_S = 2.0
TOPIC = "reconnect"
# What aiokafka says of each search that found no broker.
SEARCHED = "Unable to update metadata"


@pytest.mark.needs_kafka
async def test_a_broker_that_is_away_is_looked_for_now_and_then_and_not_all_the_time(
    own_broker: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    await create_topics(own_broker.bootstrap_servers, {TOPIC: 1})
    options: dict[str, Any] = {"bootstrap_servers": own_broker.bootstrap_servers}
    producer = unhurried(AIOKafkaProducer(**options))
    consumer = unhurried(AIOKafkaConsumer(TOPIC, **options))
    async with producer, consumer:
        await producer.send_and_wait(TOPIC, b"before")
        under_way = await sent_until_away(producer, own_broker)
        caplog.clear()
        with caplog.at_level(logging.ERROR, "aiokafka"):
            await asyncio.sleep(AWAY_S)
        searches = sum(SEARCHED in record.getMessage() for record in caplog.records)
        assert 1 <= searches <= 2 * (AWAY_S / RECONNECT_WAIT_S + 1), f"{searches} searches in {AWAY_S} s"
        await asyncio.to_thread(own_broker.start)
        await asyncio.wait_for(asyncio.gather(*under_way), 60)


async def sent_until_away(producer: AIOKafkaProducer, broker: KafkaBroker) -> list[asyncio.Future[Any]]:
    """Records sent while a broker shuts down, so that its last word to the producer is that nobody has the topic."""
    stopping = asyncio.create_task(asyncio.to_thread(broker.stop))
    sent: list[asyncio.Future[Any]] = []
    while not stopping.done():
        sent.append(await producer.send(TOPIC, b"meanwhile"))
        await asyncio.sleep(0.002)
    await stopping
    return sent
