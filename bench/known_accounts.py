"""Accounts that a worker will know: what their purchases leave in a changelog, by Stopbank's own folds.

The router and the desk of each partition take the purchases in a process of their own, run by run as in a worker, and
what the desk's state changes by is written to the changelog as a worker writes it. To whoever recovers it, it is what
the first record of the desk's topic led to.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from numpy.typing import NDArray

from bench.customers import Bought, Customers, account_key
from bench.machine import usable_cores
from bench.process import rss_bytes
from rules.desk import Desk
from rules.fold import Output, Record
from rules.language.compile import compile_ruleset
from rules.memory_line import FixedRulesets
from rules.router import PURCHASES, Router
from streams.engine.changelog import encode_changes
from streams.engine.core import MAX_STATE_BATCH_BYTES
from streams.engine.partitioner import partition_for
from streams.engine.writer import BatchWriter, Delivery
from streams.process import spare_the_collector
from streams.settings import Settings
from streams.topics import ASSESSMENTS, ASSESSMENTS_STATE

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

_RUN: Final = 500
# On their way at a time: what waits for the broker is not the accounts' memory.
_BATCHES_IN_FLIGHT: Final = 20
# The topic's first record, which nobody reads any more, and its offset.
_APPLIED: Final = b"stands for what has been applied"
_FENCE: Final = 0


@dataclass(frozen=True)
class Known:
    """What a partition's desk knows now: in how many changelog records, and how much memory it took in its process."""

    accounts: int
    records: int
    memory_bytes: int


class Target(NamedTuple):
    """Where the state is written, and by which rules it is made."""

    servers: str
    prefix: str
    rules: Path


def write_known_accounts(settings: Settings, rules: Path, customers: Customers, partitions: int) -> list[Known]:
    """Let the customers' first day pass, and write the state that is left, by partition. Takes all cores."""
    keys = map(account_key, range(customers.accounts))
    partition_of = np.fromiter((partition_for(key, partitions) for key in keys), np.uint8)
    target = Target(settings.kafka.bootstrap_servers, settings.topic_prefix, rules)
    make = partial(_known, target, customers, partition_of)
    # Each in a new process, whose memory holds nothing else.
    context, workers = multiprocessing.get_context("spawn"), min(partitions, len(usable_cores()))
    with ProcessPoolExecutor(workers, context, max_tasks_per_child=1) as pool:
        return list(pool.map(make, range(partitions)))


def _known(target: Target, customers: Customers, partition_of: NDArray[np.uint8], partition: int) -> Known:
    chosen = partition_of == partition
    records, memory_bytes = asyncio.run(_write(target, partition, customers.first_day(chosen)))
    return Known(int(chosen.sum()), records, memory_bytes)


async def _write(target: Target, partition: int, purchases: Iterator[Bought]) -> tuple[int, int]:
    """Write what a partition's purchases leave; returns how many records that were, and the memory it took."""
    producer = AIOKafkaProducer(
        bootstrap_servers=target.servers,
        acks="all",
        max_batch_size=MAX_STATE_BATCH_BYTES,
        max_request_size=2 * MAX_STATE_BATCH_BYTES,
    )
    await producer.start()
    await producer.send_and_wait(target.prefix + ASSESSMENTS, _APPLIED, partition=partition)
    writer = BatchWriter(producer, _fail, most_bytes=MAX_STATE_BATCH_BYTES, most_together_bytes=MAX_STATE_BATCH_BYTES)
    line, deliveries, records = DeskLine(target.rules), set[Delivery](), 0
    spare_the_collector()
    before_bytes = rss_bytes(os.getpid())
    for run in _runs(purchases):
        line.decide(run)
        state = encode_changes(line.changes(), _FENCE)
        deliveries.add(writer.write_together(target.prefix + ASSESSMENTS_STATE, partition, state))
        records += len(state)
        if len(deliveries) >= _BATCHES_IN_FLIGHT:
            await asyncio.gather(*deliveries)
            deliveries.clear()
    await asyncio.gather(*deliveries)
    gc.collect()
    memory_bytes = rss_bytes(os.getpid()) - before_bytes
    await producer.stop()
    return records, memory_bytes


def _fail(failure: BaseException) -> None:
    raise SystemExit(f"state can't be written: {failure!r}")


def _runs(purchases: Iterator[Bought]) -> Iterator[Sequence[Bought]]:
    while run := list(islice(purchases, _RUN)):
        yield run


class DeskLine:
    """The way of one partition's purchases under rules that ask of the account alone."""

    def __init__(self, rules: Path) -> None:
        rulesets = FixedRulesets()
        rulesets.use(compile_ruleset(rules.read_text(), rules.name))
        self._router = Router(PURCHASES, rulesets, lambda _: 0)
        self._desk = Desk(rulesets)
        self._purchases = self._assessments = 0

    def decide(self, run: Sequence[Bought]) -> list[Output]:
        """Decide on a run's purchases."""
        routed = [output for bought in run for output in self._router.apply(self._record(bought))]
        outputs: list[Output] = []
        for output in (*routed, *self._router.flush()):
            record = Record(self._assessments, run[-1].at_ms, output.key, output.value, output.headers)
            outputs += self._desk.apply(record)
            self._assessments += 1
        return outputs

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """What changed in the desk's state since it was last asked."""
        return self._desk.changes()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the desk's state back."""
        self._desk.restore(records)

    def _record(self, bought: Bought) -> Record:
        self._purchases += 1
        return Record(self._purchases - 1, bought.at_ms, bought.key, bought.value)
