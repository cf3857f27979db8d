"""Workers that are ready before there is anything to do.

They stand still while purchases are written, and drain them then: what is measured begins with a full topic and a warm
worker, and neither its start nor whoever writes has a part in it.
"""

from __future__ import annotations

import asyncio
import logging
import time
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from bench.machine import Cores
from bench.process import Process
from bench.stage import Bench, Drain, Record
from streams.broker.broker import HOST, free_port
from streams.settings import Settings
from streams.topics import DECISIONS

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

READY_WAIT_S: Final = 300.0
_DRAIN_WAIT_S: Final = 300.0
_POLL_S: Final = 0.02
# A worker that stands still for a moment is not to be taken for dead.
_SESSION_S: Final = 20


class Worker(Process):
    """A worker, with what its probes, metrics and log tell."""

    def __init__(self, settings: Settings, cores: Cores = frozenset()) -> None:
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
            cores,
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


def quieten() -> None:
    """Of topics that were just created clients say that nobody leads them yet, and try again: that is left out."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


async def drain_at_once(
    bench: Bench, settings: Settings, workers: Sequence[Worker], purchases: Sequence[Record]
) -> Drain:
    """Let ready workers decide on purchases that are all there when they begin; the cost is that of all workers."""
    topic = settings.topic_prefix + DECISIONS
    async with AIOKafkaConsumer(bootstrap_servers=bench.servers) as reader:
        tps = [TopicPartition(topic, number) for number in range(bench.partitions)]
        expected = await _count(reader, tps) + len(purchases)
        with ExitStack() as standing:
            for worker in workers:
                standing.enter_context(worker.stopped())
            await bench.fill(settings, purchases)
            began_s, used_s = time.monotonic(), sum(worker.cpu_s() for worker in workers)
        while await _count(reader, tps) < expected:
            for worker in workers:
                worker.verify()
            if time.monotonic() > began_s + _DRAIN_WAIT_S:
                raise SystemExit(f"{topic} is not full after {_DRAIN_WAIT_S:.0f} s")
            await asyncio.sleep(_POLL_S)
        took_s, cpu_s = time.monotonic() - began_s, sum(worker.cpu_s() for worker in workers) - used_s
    peak_mb = max(worker.peak_rss_mb() for worker in workers)
    return Drain(len(purchases) / took_s, cpu_s / len(purchases) * 1e6, peak_mb)


async def records_in(bench: Bench, settings: Settings, names: Iterable[str]) -> int:
    """How many records these topics hold."""
    async with AIOKafkaConsumer(bootstrap_servers=bench.servers) as reader:
        tps = [TopicPartition(settings.topic_prefix + name, n) for name in names for n in range(bench.partitions)]
        return await _count(reader, tps)


async def _count(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> int:
    """Records ever written to partitions from which nothing has gone yet."""
    return sum((await reader.end_offsets(tps)).values())
