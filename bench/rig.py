"""Workers on topics of their own, that are ready before there is anything to do.

They stand still while purchases are written, and drain them then: what is measured begins with a full topic and a warm
worker, and neither its start nor whoever writes has a part in it.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from bench.process import ROOT, Process
from streams.broker.broker import HOST, free_port
from streams.clients import admin_client
from streams.rulesets import publish
from streams.settings import KafkaSettings, Settings
from streams.topics import DECISIONS, PURCHASES, create_topics

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

READY_WAIT_S: Final = 300.0
DRAIN_WAIT_S: Final = 300.0
_POLL_S: Final = 0.02
# A worker that stands still is not to be taken for dead.
_SESSION_S: Final = 20


class Sent(NamedTuple):
    """A purchase to send."""

    account_id: str
    value: bytes


@dataclass(frozen=True)
class Drain:
    """Some workers draining a topic: purchases a second, and processor time a purchase of all of them."""

    purchases_per_s: float
    cpu_us: float


class Worker(Process):
    """A worker, with what its probes, metrics and log tell."""

    def __init__(self, settings: Settings) -> None:
        self._port = free_port()
        super().__init__(
            ["streams.cli", "worker"],
            {
                "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
                "STOPBANK_TOPIC_PREFIX": settings.topic_prefix,
                "STOPBANK_HTTP_HOST": HOST,
                "STOPBANK_HTTP_PORT": str(self._port),
                "STOPBANK_SESSION_TIMEOUT_S": str(_SESSION_S),
                "STOPBANK_LOG_FORMAT": "json",
            },
        )

    async def ready(self) -> None:
        """Wait until it decides. Raises SystemExit where it ends, or takes too long."""
        deadline_s = time.monotonic() + READY_WAIT_S
        while await asyncio.to_thread(self._page, "readyz") is None:
            self.verify()
            if time.monotonic() > deadline_s:
                raise SystemExit(f"a worker is not ready after {READY_WAIT_S:.0f} s:\n{self.said()[-3_000:]}")
            await asyncio.sleep(_POLL_S)

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples of this name. Raises SystemExit where there are none."""
        page = await asyncio.to_thread(self._page, "metrics") or ""
        families = text_string_to_metric_families(page)
        values = [sample.value for family in families for sample in family.samples if sample.name == name]
        if not values:
            raise SystemExit(f"the worker tells no {name}")
        return sum(values)

    def events(self, event: str) -> list[dict[str, Any]]:
        """What it has logged of this name, oldest first."""
        logged = [orjson.loads(line) for line in self.said().splitlines() if line.startswith("{")]
        return [entry for entry in logged if entry["event"] == event]

    def _page(self, path: str) -> str | None:
        """A page of its port, None unless it is there and says well."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._port}/{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None


class Rig:
    """The topics of benchmarks on one broker."""

    def __init__(self, servers: str, partitions: int) -> None:
        self.servers = servers
        self.partitions = partitions
        self._topics = 0

    async def prepare(self, rule_file: str) -> Settings:
        """Topics under a new prefix, with the rules in force."""
        self._topics += 1
        prefix = f"bench-{os.getpid()}-{self._topics}-"
        settings = Settings(kafka=KafkaSettings(bootstrap_servers=self.servers), topic_prefix=prefix)
        async with admin_client(settings) as admin:
            await create_topics(admin, prefix, self.partitions)
        file = ROOT / "examples" / "rules" / rule_file
        await publish(settings, file.read_text(), file.name, "bench")
        return settings

    async def drain(self, settings: Settings, workers: Sequence[Worker], purchases: Sequence[Sent]) -> Drain:
        """Let ready workers decide on purchases that are all there when they begin."""
        topic = settings.topic_prefix + DECISIONS
        async with AIOKafkaConsumer(bootstrap_servers=self.servers) as reader:
            tps = [TopicPartition(topic, number) for number in range(self.partitions)]
            expected = await _count(reader, tps) + len(purchases)
            with ExitStack() as standing:
                for worker in workers:
                    standing.enter_context(worker.stopped())
                await self._write(settings, purchases)
                began_s, used_s = time.monotonic(), sum(worker.cpu_s() for worker in workers)
            while await _count(reader, tps) < expected:
                for worker in workers:
                    worker.verify()
                if time.monotonic() > began_s + DRAIN_WAIT_S:
                    raise SystemExit(f"{topic} is not full after {DRAIN_WAIT_S:.0f} s")
                await asyncio.sleep(_POLL_S)
            took_s, cpu_s = time.monotonic() - began_s, sum(worker.cpu_s() for worker in workers) - used_s
        return Drain(len(purchases) / took_s, cpu_s / len(purchases) * 1e6)

    async def _write(self, settings: Settings, purchases: Iterable[Sent]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.servers, linger_ms=20, acks="all") as producer:
            topic = settings.topic_prefix + PURCHASES
            pending = [await producer.send(topic, value, key=account_id.encode()) for account_id, value in purchases]
            await asyncio.gather(*pending)

    async def records(self, settings: Settings, names: Iterable[str]) -> int:
        """How many records these topics hold."""
        async with AIOKafkaConsumer(bootstrap_servers=self.servers) as reader:
            tps = [TopicPartition(settings.topic_prefix + name, n) for name in names for n in range(self.partitions)]
            return await _count(reader, tps)


async def _count(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> int:
    """Records ever written to partitions from which nothing has gone yet."""
    return sum((await reader.end_offsets(tps)).values())
