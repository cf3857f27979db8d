"""Workers that write for partitions of others: they end before they do, and what slips through is put right."""

from __future__ import annotations

import asyncio
import signal
import struct
from collections import defaultdict
from pathlib import Path

import orjson
import pytest

from streams.engine.changelog import ChangelogImage
from streams.process import EXIT_FAULT
from tests.integration.cluster import Workers, create_topics, produce, read_topic
from tests.integration.test_chaos_skeleton import wait_for_results

DEVICES = 20


def events(first: int, count: int) -> list[tuple[bytes, bytes]]:
    return [
        (f"e{n}".encode(), orjson.dumps({"id": f"e{n}", "device": f"d{n % DEVICES}"}))
        for n in range(first, first + count)
    ]


class Skeleton:
    """The skeleton app's topics and workers."""

    def __init__(self, kafka: str, prefix: str, logs: Path) -> None:
        self.kafka = kafka
        self.topics = {name: prefix + name for name in ("events", "hops", "results", "counters-changelog")}
        self.workers = Workers(
            ["-m", "tests.integration.skeleton_app"],
            {"KAFKA_BOOTSTRAP_SERVERS": kafka, "SKELETON_PREFIX": prefix},
            logs,
        )

    async def count(self, first: int, count: int) -> None:
        """Send events and wait until all are counted."""
        await produce(self.kafka, self.topics["events"], events(first, count), per_s=500)
        results = await wait_for_results(self.kafka, self.topics["results"], first + count)
        assert len({result["id"] for result in results}) == first + count, self.workers.log_text()

    async def verify(self, total: int) -> None:
        """Every event has one number, the numbers of a device have no gap, and the state holds them all."""
        numbers: defaultdict[object, dict[object, object]] = defaultdict(dict)
        for record in await read_topic(self.kafka, self.topics["results"]):
            result = orjson.loads(record.value)
            assert numbers[result["device"]].setdefault(result["id"], result["number"]) == result["number"]
        for given in numbers.values():
            assert sorted(map(str, given.values())) == sorted(str(n + 1) for n in range(len(given)))
        assert sum(map(len, numbers.values())) == total
        assert await self.counted() == total

    async def counted(self) -> int:
        """How many events the changelog knows of, if compaction were to leave each key's last record only."""
        last: dict[tuple[int, bytes], object] = {}
        for record in await read_topic(self.kafka, self.topics["counters-changelog"]):
            last[record.partition, record.key] = record
        image = ChangelogImage()
        image.apply(list(last.values()))  # pyright: ignore[reportArgumentType]  # records of an untyped client
        return sum(len(orjson.loads(value)) for value in image.records.values())


async def exit_code(workers: Workers, number: int, within_s: float = 30) -> int | None:
    """The exit code of the worker that was started as this number, once it has ended."""
    worker = workers.alive[number]
    for _ in range(int(within_s * 10)):
        if worker.poll() is not None:
            break
        await asyncio.sleep(0.1)
    return worker.returncode


@pytest.mark.timeout(150)
@pytest.mark.needs_kafka
async def test_a_worker_that_was_paused_ends_before_it_writes(kafka: str, tmp_path: Path) -> None:
    skeleton = Skeleton(kafka, "paused-", tmp_path)
    await create_topics(kafka, dict.fromkeys(skeleton.topics.values(), 4))
    with skeleton.workers as workers:
        workers.start(2)
        await skeleton.count(0, 1_000)
        workers.alive[0].send_signal(signal.SIGSTOP)
        await skeleton.count(1_000, 1_000)
        workers.alive[0].send_signal(signal.SIGCONT)
        await skeleton.count(2_000, 1_000)
        assert await exit_code(workers, 0) == EXIT_FAULT, workers.log_text()
        assert "PausedError" in (tmp_path / "worker-1.log").read_text()
        # In order: the state of the last results is on its way yet.
        workers.reap()
        workers.stop()
    await skeleton.verify(3_000)


@pytest.mark.timeout(150)
@pytest.mark.needs_kafka
async def test_state_that_another_worker_overwrote_is_found_and_put_right(kafka: str, tmp_path: Path) -> None:
    skeleton = Skeleton(kafka, "overwritten-", tmp_path)
    await create_topics(kafka, dict.fromkeys(skeleton.topics.values(), 1))
    with skeleton.workers as workers:
        workers.start(1)
        await skeleton.count(0, 500)
        stale = struct.pack(">q", 0) + orjson.dumps({"e0": 1})
        await produce(kafka, skeleton.topics["counters-changelog"], [(b"d0", stale)])
        assert await skeleton.counted() < 500
        await produce(kafka, skeleton.topics["events"], events(500, 100), per_s=500)
        assert await exit_code(workers, 0) == EXIT_FAULT, workers.log_text()
        assert "ForeignWriterError" in workers.log_text()
        workers.start(1)
        await skeleton.count(600, 100)
        workers.reap()
        workers.stop()
    await skeleton.verify(700)
