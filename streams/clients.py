"""Kafka clients for commands that run once: they answer soon, and say why they can't reach a broker."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.reconnect import unhurried
from streams.settings import Settings
from streams.topics import partition_counts, require_topics
from streams.unreachable import telling_why

_CONNECT_WAIT_S: Final = 15.0
# What a topic takes where nothing else is set.
_RECORD_BYTES: Final = 1_048_576


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncGenerator[AIOKafkaAdminClient]:
    """An admin client. Raises BrokerUnreachableError where no broker answers."""
    admin = unhurried(AIOKafkaAdminClient(**settings.kafka.client_options()))
    try:
        await _start(admin, settings)
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def producer_client(
    settings: Settings, topics: Collection[str], max_record_bytes: int = _RECORD_BYTES
) -> AsyncGenerator[AIOKafkaProducer]:
    """A producer that waits for every replica, for these topics.

    Raises BrokerUnreachableError where no broker answers, TopicsError where a topic is missing.
    """
    async with admin_client(settings) as admin:
        await require_topics(admin, settings.topic_prefix, topics)
    producer = unhurried(
        AIOKafkaProducer(
            **settings.kafka.client_options(),
            acks="all",
            linger_ms=settings.linger_ms,
            max_request_size=max_record_bytes,
        )
    )
    try:
        await _start(producer, settings)
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def reading_client(settings: Settings, topic: str, *, from_beginning: bool) -> AsyncGenerator[AIOKafkaConsumer]:
    """A consumer of a whole topic, of no group, placed at its beginning or its end.

    Raises BrokerUnreachableError where no broker answers, TopicsError where the topic is missing.
    """
    async with admin_client(settings) as admin:
        await require_topics(admin, settings.topic_prefix, [topic])
        count = (await partition_counts(admin, settings.topic_prefix))[topic]
    # Assigned rather than subscribed: a subscription to a topic that goes away waits for it for good.
    partitions = [TopicPartition(settings.topic_prefix + topic, number) for number in range(count)]
    place = "earliest" if from_beginning else "latest"
    async with consumer_client(settings, auto_offset_reset=place) as consumer:
        consumer.assign(partitions)
        for tp in partitions:
            await consumer.position(tp)
        yield consumer


@asynccontextmanager
async def consumer_client(settings: Settings, **options: Any) -> AsyncGenerator[AIOKafkaConsumer]:
    """A consumer of no group with nothing assigned; `options` are aiokafka's. Raises BrokerUnreachableError."""
    options = {**settings.kafka.client_options(), "fetch_max_wait_ms": settings.fetch_wait_ms, **options}
    consumer = unhurried(AIOKafkaConsumer(**options))
    try:
        await _start(consumer, settings)
        yield consumer
    finally:
        await consumer.stop()


async def _start(client: Any, settings: Settings) -> None:
    with telling_why(settings.kafka):
        await asyncio.wait_for(client.start(), _CONNECT_WAIT_S)
