"""The gateway's connection to Kafka: a producer for its outbox and a listener for its replies, made anew when lost."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer

from streams import topics
from streams.clients import admin_client
from streams.gateway.kafka_sink import KafkaSink
from streams.gateway.listener import ReplyListener
from streams.gateway.outbox import Outbox
from streams.reconnect import unhurried
from streams.settings import Settings
from streams.topics import TopicsError, partition_counts, require_topics
from streams.unreachable import telling_why

log = structlog.get_logger(__name__)

# What a gateway writes to and listens on, and what it asks about.
NEEDED: Final = (
    topics.PURCHASES,
    topics.SETTLEMENTS,
    topics.INQUIRIES,
    topics.DEGRADED,
    topics.REPLIES,
    topics.ASSESSMENTS,
    topics.RULESETS,
)
# A request that no broker answers in this time is made again, over a new connection.
_REQUEST_TIMEOUT_MS: Final = 5_000
_CONNECT_WAIT_S: Final = 10.0
# After an outage much is to be written: few large batches do it faster than many small ones.
_BATCH_BYTES: Final = 512 * 1024
_RETRY_S: Final = 0.5


async def topic_partitions(settings: Settings) -> Mapping[str, int]:
    """How many partitions each topic has.

    Raises BrokerUnreachableError where no broker answers, TopicsError where a topic is missing.
    """
    async with admin_client(settings) as admin:
        await require_topics(admin, settings.topic_prefix, NEEDED)
        return await partition_counts(admin, settings.topic_prefix)


class Connection:
    """Connects, and connects again whenever the broker was lost.

    `problem` says why there is no connection now; None while there is one.
    """

    def __init__(
        self, settings: Settings, outbox: Outbox, listener: ReplyListener, reply_partition: int | None
    ) -> None:
        """`reply_partition` None: one is chosen at random."""
        self._settings = settings
        self._outbox = outbox
        self._listener = listener
        self._wanted_partition = reply_partition
        self._lost: asyncio.Future[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self.problem: str | None = "not connected yet"
        self.partitions: Mapping[str, int] = {}
        self.reply_partition = 0
        self.was_up = False

    async def keep(self) -> None:
        """Stay connected for good."""
        while True:
            try:
                await self._once()
            except Exception as error:  # noqa: BLE001  # whatever it is, answers are given meanwhile
                self._down(error)
                await asyncio.sleep(_RETRY_S)

    def give_up(self, failure: Exception) -> None:
        """Hear that writing has failed: connect anew."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(failure)

    async def close(self) -> None:
        """Wait for what was under way, for as long as a request may take."""
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=_REQUEST_TIMEOUT_MS / 1000)

    def _down(self, error: Exception) -> None:
        told = str(error) or repr(error)
        if told != self.problem:
            log.warning("no connection to Kafka, trying again", reason=told)
        self.problem = told

    async def _once(self) -> None:
        """One connection, until it is lost. Raises what it was lost of."""
        self.partitions = await topic_partitions(self._settings)
        self._choose_partition()
        async with self._producer() as producer:
            self._lost = asyncio.get_running_loop().create_future()
            listening = asyncio.create_task(self._listener.listen(self.reply_partition, self._up))
            self._outbox.connect(KafkaSink(producer, self._settings.topic_prefix, self.partitions))
            try:
                await asyncio.wait({self._lost, listening}, return_when=asyncio.FIRST_COMPLETED)
                # Raises what either ended of.
                await (listening if listening.done() else self._lost)
            finally:
                self._outbox.disconnect()
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    def _up(self) -> None:
        log.info("connected to Kafka", reply_partition=self.reply_partition)
        self.problem = None
        self.was_up = True

    def _choose_partition(self) -> None:
        count = self.partitions[topics.REPLIES]
        verify_reply_partition(self._wanted_partition, count)
        if self._wanted_partition is not None:
            self.reply_partition = self._wanted_partition
        elif not self.was_up:
            # Chance spreads gateways well enough over partitions: to share one costs reading, nothing else.
            self.reply_partition = random.randrange(count)

    @asynccontextmanager
    async def _producer(self) -> AsyncGenerator[AIOKafkaProducer]:
        # Not idempotent: what is written twice is harmless, and a batch that waits for a sequence could wait for good.
        options: dict[str, Any] = {**self._settings.kafka.client_options(), "request_timeout_ms": _REQUEST_TIMEOUT_MS}
        compression = None if self._settings.compression == "none" else self._settings.compression
        producer = unhurried(
            AIOKafkaProducer(
                **options, acks="all", max_batch_size=_BATCH_BYTES, compression_type=compression, linger_ms=0
            )
        )
        try:
            with telling_why(self._settings.kafka):
                await asyncio.wait_for(producer.start(), _CONNECT_WAIT_S)
            yield producer
        finally:
            # It waits for its last batches, and nobody has to wait for that.
            stopping = asyncio.create_task(producer.stop())
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopped)

    def _stopped(self, stopping: asyncio.Task[None]) -> None:
        self._stopping.discard(stopping)
        if not stopping.cancelled() and stopping.exception() is not None:
            log.warning("a producer ended badly", error=repr(stopping.exception()))


def verify_reply_partition(wanted: int | None, count: int) -> None:
    """Raises TopicsError where the partition to listen on does not exist."""
    if wanted is not None and wanted >= count:
        raise TopicsError(
            f"STOPBANK_GATEWAY_REPLY_PARTITION: there is no partition {wanted} of {topics.REPLIES}, which has {count}, "
            "counted from 0: choose one of them, or leave it out"
        )
