"""Stopbank on a broker, under a topic prefix of its own: set up, fed, waited for and read."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from streams import topics
from streams.clients import admin_client
from streams.rulesets import publish
from streams.settings import KafkaSettings, Settings
from tests.integration.cluster import Workers, committed_offsets, read_topic
from tests.integration.shopping import Sent

PARTITIONS = 4
WORKER = ("-m", "streams.cli", "worker")
_POLL_S = 0.3
SOURCES = (*topics.INCOMING, topics.SIGHTINGS, topics.ASSESSMENTS)


class Line:
    """One line: its topics, its ruleset and its group."""

    def __init__(self, bootstrap_servers: str, name: str) -> None:
        self.settings = Settings(
            kafka=KafkaSettings(bootstrap_servers=bootstrap_servers),
            topic_prefix=f"{name}-{uuid.uuid4().hex[:8]}-",
        )

    @property
    def bootstrap_servers(self) -> str:
        return self.settings.kafka.bootstrap_servers

    def topic(self, name: str) -> str:
        return self.settings.topic_prefix + name

    async def create_topics(self, partitions: int = PARTITIONS) -> None:
        async with admin_client(self.settings) as admin:
            await topics.create_topics(admin, self.settings.topic_prefix, partitions)

    async def delete_topic(self, name: str) -> None:
        async with admin_client(self.settings) as admin:
            await admin.delete_topics([self.topic(name)])

    async def publish(self, rules: str) -> str:
        """Put rules into force; returns their version."""
        return (await publish(self.settings, rules, "the test's rules", "a test")).version

    async def set_up(self, rules: str) -> None:
        """Topics and a ruleset: all that workers need."""
        await self.create_topics()
        await self.publish(rules)

    def workers(self, logs: Path, **env: str) -> Workers:
        """Worker processes of this line, none started yet."""
        return Workers(
            list(WORKER),
            {
                "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
                "STOPBANK_TOPIC_PREFIX": self.settings.topic_prefix,
                "STOPBANK_HTTP_PORT": "0",
                "STOPBANK_SESSION_TIMEOUT_S": "6",
                **env,
            },
            logs,
        )

    async def send(self, sent: Sequence[Sent], per_s: float | None = None) -> None:
        """Write records in order, at most `per_s` a second."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers, linger_ms=1, acks="all")
        await producer.start()
        try:
            started_s = time.monotonic()
            pending: list[Any] = []
            for number, one in enumerate(sent):
                if per_s is not None:
                    ahead_s = number / per_s - (time.monotonic() - started_s)
                    if ahead_s > 0.001:
                        await asyncio.sleep(ahead_s)
                pending.append(await producer.send(self.topic(one.topic), one.value, key=one.key))
            await asyncio.gather(*pending)
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list[Any]:
        """Every record of a topic, in partition and offset order."""
        return await read_topic(self.bootstrap_servers, self.topic(topic))

    async def unfinished(self) -> dict[str, int]:
        """By topic, how many records are not committed yet.

        They are asked for in the order of the way: what is finished on one topic is all on the next.
        """
        left: dict[str, int] = {}
        for topic in SOURCES:
            offsets = await committed_offsets(self.bootstrap_servers, self.settings.consumer_group, [self.topic(topic)])
            left[topic] = sum(end - (committed or 0) for committed, end in offsets.values())
        return left

    async def finish(self, workers: Workers, timeout_s: float, *, supervised: bool = False) -> list[int]:
        """Wait until all that was sent is decided and committed.

        A worker that ends by itself is a fault; with `supervised` another is started in its place, and the
        codes are returned.
        """
        deadline_s = time.monotonic() + timeout_s
        codes: list[int] = []
        while any((left := await self.unfinished()).values()):
            # A signal that came before the worker could take it ends it as it ends any process.
            faults = [code for code in workers.reap() if code not in (0, -signal.SIGTERM)]
            assert supervised or not faults, f"workers ended by themselves with {faults}\n{workers.log_text()}"
            workers.start(len(faults))
            codes += faults
            assert time.monotonic() < deadline_s, f"not finished in {timeout_s} s: {left}\n{workers.log_text()}"
            await asyncio.sleep(_POLL_S)
        return codes


async def until(holds: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Wait for something to come true."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(0.1)
