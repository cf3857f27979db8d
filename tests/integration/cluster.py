"""Worker processes that a test starts, kills and joins, and topics read to their end."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError

from tests.integration.priority import giving_way

PROJECT = Path(__file__).resolve().parents[2]
_STOP_WAIT_S = 30


@dataclass
class Workers(AbstractContextManager["Workers"]):
    """Processes that run `command`; each writes its own log file into `logs`.

    With `give_way` they run after what else there is to run, as on a machine of their own they would beside it.
    """

    command: Sequence[str]
    env: dict[str, str]
    logs: Path
    alive: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    started: int = 0
    give_way: bool = False

    def start(self, number: int = 1) -> None:
        """Start more workers."""
        command = [sys.executable, *self.command]
        for _ in range(number):
            self.started += 1
            with (self.logs / f"worker-{self.started}.log").open("wb") as log:
                self.alive.append(
                    subprocess.Popen(
                        giving_way(command) if self.give_way else command,
                        env={**os.environ, **self.env, "WORKER_NUMBER": str(self.started)},
                        cwd=PROJECT,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )

    def send(self, worker: subprocess.Popen[bytes], sig: signal.Signals) -> None:
        """Send a signal; a killed worker is reaped at once, a terminated one may take its time."""
        worker.send_signal(sig)
        if sig is signal.SIGKILL:
            worker.wait()
            self.alive.remove(worker)

    def reap(self) -> list[int]:
        """Exit codes of the workers that ended since the last call."""
        ended = [worker for worker in self.alive if worker.poll() is not None]
        for worker in ended:
            self.alive.remove(worker)
        return [worker.returncode for worker in ended]

    def stop(self) -> list[int]:
        """Terminate all and wait; returns their exit codes."""
        workers = list(self.alive)
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_WAIT_S
        for worker in workers:
            try:
                worker.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.alive.clear()
        return [worker.returncode for worker in workers]

    def __exit__(self, *_: object) -> None:
        for worker in self.alive:
            worker.kill()
            worker.wait()
        self.alive.clear()

    def mentions(self, text: str) -> list[int]:
        """How often each worker's log holds a text."""
        return [path.read_text(errors="replace").count(text) for path in sorted(self.logs.glob("worker-*.log"))]

    def log_text(self) -> str:
        """All logs, for a failing test to show."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}"
            for path in sorted(self.logs.glob("worker-*.log"))
        )


@dataclass
class Chaos:
    """What happens to the workers during a run, drawn from a seed."""

    seed: int
    blows: int = 8
    most_workers: int = 3
    pause_s: tuple[float, float] = (0.3, 4.0)
    history: list[str] = field(default_factory=list[str])

    async def rage(self, workers: Workers) -> None:
        """Kill, terminate and join workers; at the end at least one is running."""
        rng = random.Random(self.seed)
        struck = 0
        while struck < self.blows:
            await asyncio.sleep(rng.uniform(*self.pause_s))
            faults = [code for code in workers.reap() if code not in (0, -signal.SIGTERM)]
            if faults:
                raise AssertionError(f"workers ended by themselves with {faults}")
            running = [w for w in workers.alive if w.poll() is None]
            if running:
                sig = rng.choice([signal.SIGKILL, signal.SIGTERM])
                victim = rng.choice(running)
                workers.send(victim, sig)
                self.history.append(sig.name)
                struck += 1
            await asyncio.sleep(rng.uniform(0, 1.0))
            missing = self.most_workers - len(workers.alive)
            if missing > 0:
                workers.start(rng.randint(1, missing))
                self.history.append("join")


async def create_topics(bootstrap_servers: str, partitions: Mapping[str, int]) -> None:
    """Create topics by name with their partition counts; changelogs are compacted."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(
                    name,
                    count,
                    1,
                    topic_configs=(
                        {"cleanup.policy": "compact", "max.message.bytes": "16000000"} if "changelog" in name else {}
                    ),
                )
                for name, count in partitions.items()
            ]
        )
    finally:
        await admin.close()


async def read_topic(bootstrap_servers: str, topic: str) -> list[Any]:
    """Every record of a topic, in partition and offset order."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        tps = sorted(consumer.assignment())
        ends = await consumer.end_offsets(tps)
        records: list[Any] = []
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def committed_offsets(
    bootstrap_servers: str, group: str, topics: Sequence[str]
) -> dict[TopicPartition, tuple[int | None, int]]:
    """For each partition of the topics: the group's committed offset and the end offset."""
    reader = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap_servers)
    await reader.start()
    try:
        ends = await reader.end_offsets(sorted(reader.assignment()))
    finally:
        await reader.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(group)
    except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
        # Nobody has committed anything yet, on a broker that has just started.
        committed = {}
    finally:
        await admin.close()
    return {tp: (committed[tp].offset if tp in committed else None, end) for tp, end in ends.items()}


async def produce(
    bootstrap_servers: str,
    topic: str,
    records: Sequence[tuple[bytes | None, bytes | None]],
    per_s: float | None = None,
) -> None:
    """Write records (key, value) in order, at most `per_s` a second."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=2, acks="all")
    await producer.start()
    try:
        started = time.monotonic()
        pending: list[Any] = []
        for number, (key, value) in enumerate(records):
            if per_s is not None:
                ahead_s = number / per_s - (time.monotonic() - started)
                if ahead_s > 0.005:
                    await asyncio.sleep(ahead_s)
            pending.append(await producer.send(topic, value, key=key))
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
