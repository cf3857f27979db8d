"""Throughput, cost and latency of one worker process on a real Kafka, beside a bare aiokafka loop.

`make bench-pipeline ARGS="--quick --json"`. Throughput: the topic is filled first, then one process drains it;
the bare loop and the worker take turns in one run, and the ratio is what counts, because machines are noisy.
Latency: purchases are sent when they are due, at a fixed rate, and counted from then to the decision's arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.process import ROOT, Process
from streams.broker.kafka import KafkaBroker
from streams.rulesets import publish
from streams.settings import KafkaSettings, Settings
from streams.simulate import SimulationConfig, simulate
from streams.topics import ASSESSMENTS_STATE, DECISIONS, PURCHASES, SIGHTINGS_STATE, create_topics

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

RULES = {"account_only": "account-only.yaml", "all_entities": "twelve-rules.yaml"}
PARTITIONS = 4
BARE_DECIDERS = ("same-step", "least")
DRAIN_TIMEOUT_S = 180.0
LATENCY_RATES = (200, 1_000)


@dataclass(frozen=True)
class Drain:
    """One process draining a topic."""

    purchases_per_s: float
    cpu_us: float
    rss_mb: float


class Turn(NamedTuple):
    """What one turn of each measured on the same purchases."""

    same_step: Drain
    least: Drain
    worker: Drain
    changelog_bytes: float


@contextmanager
def kafka() -> Generator[str]:
    """The broker of KAFKA_BOOTSTRAP_SERVERS, or a real Kafka of our own."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with KafkaBroker() as broker:
        yield broker.bootstrap_servers


class Bench:
    """The runs on one broker; every run has topics of its own."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.servers = bootstrap_servers
        self._runs = 0

    async def prepare(self, rules: str) -> Settings:
        """Topics under a new prefix, with the rules in force."""
        self._runs += 1
        prefix = f"bench-{os.getpid()}-{self._runs}-"
        settings = Settings(kafka=KafkaSettings(bootstrap_servers=self.servers), topic_prefix=prefix)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        await create_topics(admin, prefix, PARTITIONS)
        await admin.create_topics([NewTopic(prefix + decider, PARTITIONS, 1) for decider in BARE_DECIDERS])
        await admin.close()
        file = ROOT / "examples" / "rules" / RULES[rules]
        await publish(settings, file.read_text(), file.name, "bench")
        return settings

    def worker(self, settings: Settings) -> Process:
        """One Stopbank worker."""
        return Process(
            ["streams.cli", "worker"],
            {
                "KAFKA_BOOTSTRAP_SERVERS": self.servers,
                "STOPBANK_TOPIC_PREFIX": settings.topic_prefix,
                "STOPBANK_HTTP_PORT": "0",
            },
        )

    def bare_loop(self, settings: Settings, rules: str, decider: str) -> Process:
        """One bare loop; it writes to a topic of the decider's name."""
        prefix = settings.topic_prefix
        arguments = [self.servers, prefix + PURCHASES, prefix + decider, RULES[rules], decider]
        return Process(["bench.bare_loop", *arguments], {})

    async def fill(self, settings: Settings, purchases: Sequence[dict[str, Any]]) -> None:
        """Write all purchases, shifted to end now."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, linger_ms=20, acks="all")
        await producer.start()
        pending = [
            await producer.send(settings.topic_prefix + PURCHASES, orjson.dumps(p), key=p["account_id"].encode())
            for p in purchases
        ]
        await asyncio.gather(*pending)
        await producer.stop()

    async def drained(self, topic: str, process: Process, expected: int) -> Drain:
        """Watch a topic fill up to `expected` records; the cost is taken from the first that is seen."""
        reader = AIOKafkaConsumer(topic, bootstrap_servers=self.servers)
        await reader.start()
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        first: tuple[int, float, float] | None = None
        deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
        try:
            while True:
                await asyncio.sleep(0.05)
                process.verify()
                count = sum((await reader.end_offsets(partitions)).values())
                now = (count, time.monotonic(), process.cpu_s())
                if first is None and count:
                    first = now
                if first is not None and count >= expected:
                    records, elapsed_s, cpu_s = (late - early for late, early in zip(now, first, strict=True))
                    return Drain(records / elapsed_s, cpu_s / records * 1e6, process.peak_rss_mb())
                if time.monotonic() > deadline_s:
                    raise SystemExit(f"{topic}: {count} of {expected} after {DRAIN_TIMEOUT_S:.0f} s")
        finally:
            await reader.stop()

    async def throughput(self, rules: str, purchases: Sequence[dict[str, Any]]) -> Turn:
        """One turn of each on one topic: the bare loops, then the worker."""
        settings = await self.prepare(rules)
        await self.fill(settings, purchases)
        prefix, count = settings.topic_prefix, len(purchases)
        same_step = await self._drain_bare(settings, rules, "same-step", count)
        least = await self._drain_bare(settings, rules, "least", count)
        worker = await self._drain(self.worker(settings), prefix + DECISIONS, count)
        return Turn(same_step, least, worker, await self._changelog_bytes(settings) / count)

    async def _drain_bare(self, settings: Settings, rules: str, decider: str, count: int) -> Drain:
        return await self._drain(self.bare_loop(settings, rules, decider), settings.topic_prefix + decider, count)

    async def _drain(self, process: Process, topic: str, expected: int) -> Drain:
        try:
            return await self.drained(topic, process, expected)
        finally:
            process.end()

    async def _changelog_bytes(self, settings: Settings) -> int:
        """Keys and values written to the changelogs, before compression and compaction."""
        topics = [settings.topic_prefix + name for name in (ASSESSMENTS_STATE, SIGHTINGS_STATE)]
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

    async def latency(
        self, rules: str, purchases: Sequence[dict[str, Any]], rate: int, warm_up_s: float
    ) -> list[float]:
        """Milliseconds from when each purchase was due to its decision's arrival; the warm-up is left out."""
        settings = await self.prepare(rules)
        process = self.worker(settings)
        consumer = AIOKafkaConsumer(
            settings.topic_prefix + DECISIONS,
            bootstrap_servers=self.servers,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, acks="all")
        await consumer.start()
        await producer.start()
        due_s: dict[str, float] = {}
        latencies: list[float] = []
        skip = int(rate * warm_up_s)
        reading = asyncio.create_task(_collect(consumer, due_s, latencies, len(purchases)))
        try:
            # The first decision shows that the worker is up and its partitions are open.
            await producer.send_and_wait(
                settings.topic_prefix + PURCHASES,
                orjson.dumps({**purchases[0], "transaction_id": "first"}),
                key=purchases[0]["account_id"].encode(),
            )
            while not latencies:
                process.verify()
                await asyncio.sleep(0.1)
            latencies.clear()
            start_s = time.monotonic() + 1.0
            for number, purchase in enumerate(purchases):
                at_s = start_s + number / rate
                await asyncio.sleep(max(0.0, at_s - time.monotonic()))
                due_s[purchase["transaction_id"]] = at_s
                value = orjson.dumps(purchase)
                await producer.send(settings.topic_prefix + PURCHASES, value, key=purchase["account_id"].encode())
            await asyncio.wait_for(reading, DRAIN_TIMEOUT_S)
        finally:
            reading.cancel()
            process.end()
            await producer.stop()
            await consumer.stop()
        return latencies[skip:]


async def _collect(consumer: AIOKafkaConsumer, due_s: dict[str, float], latencies: list[float], expected: int) -> None:
    seen = 0
    async for record in consumer:
        now_s = time.monotonic()
        transaction_id = orjson.loads(record.value or b"")["transaction_id"]
        latencies.append((now_s - due_s.get(transaction_id, now_s)) * 1000)
        seen += transaction_id in due_s
        if seen == expected:
            return


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def purchases_ending_now(count: int, seed: int = 11) -> list[dict[str, Any]]:
    """Simulated purchases over six hours that end now."""
    accounts = max(100, count // 20)
    start_ms = int(time.time() * 1000) - 6 * 3_600_000 - 1_000
    config = SimulationConfig(seed, accounts, count, start_ms, 6 * 3600.0)
    return [event.value for event in simulate(config).events if event.topic == PURCHASES]


def _throughput_figures(rows: Sequence[Turn]) -> dict[str, Any]:
    ratios = [row.worker.purchases_per_s / row.same_step.purchases_per_s for row in rows]
    least_ratios = [row.worker.purchases_per_s / row.least.purchases_per_s for row in rows]
    return {
        "purchases_per_s": round(statistics.median(row.worker.purchases_per_s for row in rows)),
        "cpu_us": round(statistics.median(row.worker.cpu_us for row in rows), 1),
        "bare_purchases_per_s": round(statistics.median(row.same_step.purchases_per_s for row in rows)),
        "bare_cpu_us": round(statistics.median(row.same_step.cpu_us for row in rows), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "least_purchases_per_s": round(statistics.median(row.least.purchases_per_s for row in rows)),
        "least_cpu_us": round(statistics.median(row.least.cpu_us for row in rows), 1),
        "ratio_to_least": round(statistics.median(least_ratios), 3),
    }


async def measure(servers: str, count: int, turns: int, latency_s: float) -> dict[str, Any]:
    """All figures."""
    bench, results = Bench(servers), dict[str, Any]()
    purchases = purchases_ending_now(count)
    peak_mb = 0.0
    changelog: dict[str, float] = {}
    for rules in RULES:
        rows = [await bench.throughput(rules, purchases) for _ in range(turns)]
        peak_mb = max(peak_mb, *(row.worker.rss_mb for row in rows))
        changelog[rules] = round(statistics.median(row.changelog_bytes for row in rows), 1)
        results[rules] = _throughput_figures(rows)
        print(f"{rules}: {results[rules]}", flush=True)
    for name, rules in (("latency_ms", "account_only"), ("latency_ms_all_entities", "all_entities")):
        results[name] = {}
        for rate in LATENCY_RATES:
            values = await bench.latency(rules, purchases_ending_now(int(rate * latency_s)), rate, latency_s / 4)
            results[name][str(rate)] = {
                "p50": round(percentile(values, 0.5), 1),
                "p99": round(percentile(values, 0.99), 1),
            }
            print(f"{name} at {rate}/s: {results[name][str(rate)]}", flush=True)
    results["changelog_bytes_per_purchase"] = changelog["account_only"]
    results["changelog_bytes_per_purchase_all_entities"] = changelog["all_entities"]
    results["rss_mb"] = round(peak_mb, 1)
    return results


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short turn of each, within 90 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    count, turns, latency_s = (12_000, 1, 4.0) if options.quick else (40_000, 3, 20.0)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {count} purchases, {turns} turns", flush=True)
    with kafka() as servers:
        results = asyncio.run(measure(servers, count, turns, latency_s))
    if options.json:
        print(orjson.dumps(results).decode())


if __name__ == "__main__":
    main()
