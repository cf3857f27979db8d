"""A Kafka, topics and purchases for benchmarks, and one process that drains a topic."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.machine import Cores, pinned_to, usable_cores
from bench.process import ROOT, Process
from streams.broker.kafka import KafkaBroker
from streams.broker.kafka_jars import kafka_version
from streams.rulesets import publish
from streams.settings import KafkaSettings, Settings
from streams.simulate import SimulationConfig, simulate
from streams.topics import ASSESSMENTS_STATE, PURCHASES, SIGHTINGS_STATE, create_topics

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

RULES: Final = {
    "account_only": ROOT / "examples" / "rules" / "account-only.yaml",
    "twelve_rules": ROOT / "examples" / "rules" / "twelve-rules.yaml",
    "sixty_rules": ROOT / "bench" / "rules" / "sixty-rules.yaml",
}
PARTITIONS: Final = 4
# Event time that the purchases of one topic lie in: less than a day, so that a window of a day loses none of them.
SIMULATED_HOURS: Final = 6
USUAL_PER_ACCOUNT: Final = 20
_DRAIN_TIMEOUT_S: Final = 180.0
_POLL_S: Final = 0.02


class Record(NamedTuple):
    """A purchase, encoded."""

    key: bytes
    value: bytes


@dataclass(frozen=True)
class Drain:
    """One process draining a topic."""

    purchases_per_s: float
    cpu_us: float
    rss_mb: float


def own_kafka_version() -> str | None:
    """The version of the Kafka that `kafka` starts; None where the environment names a broker."""
    return None if _given_servers() else kafka_version()


@contextmanager
def kafka(cores: Cores | None = None) -> Generator[str]:
    """The broker of KAFKA_BOOTSTRAP_SERVERS, or a real Kafka of our own, on `cores` alone where they are given."""
    given = _given_servers()
    if given:
        yield given
        return
    with ExitStack() as stack:
        with pinned_to(cores or usable_cores()):
            broker = stack.enter_context(KafkaBroker())
        yield broker.bootstrap_servers


def _given_servers() -> str:
    return os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")


def purchases_ending_now(count: int, per_account: int = USUAL_PER_ACCOUNT, seed: int = 11) -> list[Record]:
    """Simulated purchases over six hours that end now, in the order of their times."""
    start_ms = int(time.time() * 1000) - SIMULATED_HOURS * 3_600_000 - 1_000
    config = SimulationConfig(seed, max(100, count // per_account), count, start_ms, SIMULATED_HOURS * 3600.0)
    bought = [event.value for event in simulate(config).events if event.topic == PURCHASES]
    return [Record(purchase["account_id"].encode(), orjson.dumps(purchase)) for purchase in bought]


class Bench:
    """The runs on one broker; every run has topics of its own. `cores`: those that what is measured may use."""

    def __init__(self, bootstrap_servers: str, cores: Cores = frozenset(), partitions: int = PARTITIONS) -> None:
        self.servers = bootstrap_servers
        self.cores = cores
        self.partitions = partitions
        self._runs = 0

    async def prepare(self, rules: str, others: Sequence[str] = ()) -> Settings:
        """Topics under a new prefix, `others` too, with the rules in force."""
        self._runs += 1
        prefix = f"bench-{os.getpid()}-{self._runs}-"
        settings = Settings(kafka=KafkaSettings(bootstrap_servers=self.servers), topic_prefix=prefix)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        await create_topics(admin, prefix, self.partitions)
        await admin.create_topics([NewTopic(prefix + name, self.partitions, 1) for name in others])
        await admin.close()
        await publish(settings, RULES[rules].read_text(), RULES[rules].name, "bench")
        return settings

    def process(
        self, arguments: Sequence[str], env: Mapping[str, str] | None = None, python: Path | None = None
    ) -> Process:
        """One process that is measured, on its cores."""
        return Process(arguments, dict(env or {}), self.cores, python)

    def worker(self, settings: Settings) -> Process:
        """One Stopbank worker."""
        return self.process(
            ["streams.cli", "worker"],
            {
                "KAFKA_BOOTSTRAP_SERVERS": self.servers,
                "STOPBANK_TOPIC_PREFIX": settings.topic_prefix,
                "STOPBANK_HTTP_PORT": "0",
            },
        )

    async def fill(self, settings: Settings, purchases: Sequence[Record]) -> None:
        """Write all purchases."""
        topic = settings.topic_prefix + PURCHASES
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, linger_ms=20, acks="all")
        await producer.start()
        pending = [await producer.send(topic, value, key=key) for key, value in purchases]
        await asyncio.gather(*pending)
        await producer.stop()

    async def drained(self, topic: str, process: Process, expected: int) -> Drain:
        """Watch a topic fill up to `expected` records; the cost is taken from the first that is seen."""
        reader = AIOKafkaConsumer(topic, bootstrap_servers=self.servers)
        await reader.start()
        partitions = [TopicPartition(topic, number) for number in range(self.partitions)]
        first: tuple[int, float, float] | None = None
        deadline_s = time.monotonic() + _DRAIN_TIMEOUT_S
        try:
            while True:
                await asyncio.sleep(_POLL_S)
                process.verify()
                count = sum((await reader.end_offsets(partitions)).values())
                now = (count, time.monotonic(), process.cpu_s())
                if first is None and count:
                    first = now
                if first is not None and count >= expected:
                    if first[0] == count:
                        raise SystemExit(f"{topic}: {count} records at once are too few to measure")
                    records, elapsed_s, cpu_s = (late - early for late, early in zip(now, first, strict=True))
                    return Drain(records / elapsed_s, cpu_s / records * 1e6, process.peak_rss_mb())
                if time.monotonic() > deadline_s:
                    raise SystemExit(f"{topic}: {count} of {expected} after {_DRAIN_TIMEOUT_S:.0f} s")
        finally:
            await reader.stop()

    async def drain(self, process: Process, topic: str, expected: int) -> Drain:
        """The same, and the process is ended."""
        try:
            return await self.drained(topic, process, expected)
        finally:
            process.end()

    async def state_bytes(self, settings: Settings) -> int:
        """Keys and values written to the worker's changelogs."""
        return await self.bytes_in([settings.topic_prefix + name for name in (ASSESSMENTS_STATE, SIGHTINGS_STATE)])

    async def bytes_in(self, topics: Sequence[str]) -> int:
        """Keys and values of all that was ever written to topics, unless it was compacted: before compression."""
        reader = AIOKafkaConsumer(*topics, bootstrap_servers=self.servers, auto_offset_reset="earliest")
        await reader.start()
        total = 0
        try:
            ends = await reader.end_offsets(list(reader.assignment()))
            while any([await reader.position(tp) < end for tp, end in ends.items()]):
                for records in (await reader.getmany(timeout_ms=500)).values():
                    total += sum(len(r.key or b"") + len(r.value or b"") for r in records)
        finally:
            await reader.stop()
        return total
