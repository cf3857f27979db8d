"""Kafka clients for commands that run once."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streams.settings import Settings


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncGenerator[AIOKafkaAdminClient]:
    """An admin client. Raises aiokafka's KafkaConnectionError where no broker answers."""
    admin = AIOKafkaAdminClient(**settings.kafka.client_options())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def producer_client(settings: Settings) -> AsyncGenerator[AIOKafkaProducer]:
    """A producer that waits for every replica. Raises KafkaConnectionError where no broker answers."""
    producer = AIOKafkaProducer(**settings.kafka.client_options(), acks="all", linger_ms=settings.linger_ms)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def reading_client(settings: Settings, topic: str, *, from_beginning: bool) -> AsyncGenerator[AIOKafkaConsumer]:
    """A consumer of a whole topic, of no group, placed at its beginning or its end."""
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + topic,
        **settings.kafka.client_options(),
        auto_offset_reset="earliest" if from_beginning else "latest",
        fetch_max_wait_ms=settings.fetch_wait_ms,
    )
    try:
        await consumer.start()
        for tp in consumer.assignment():
            await consumer.position(tp)
        yield consumer
    finally:
        await consumer.stop()
