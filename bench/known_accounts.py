"""Accounts that a worker will know: what their purchases leave in a changelog, by Stopbank's own folds.

The router and the desk of each partition take the purchases in a process of their own, run by run as in a worker, and
what the desk's state changes by is written to the changelog as a worker writes it. Nothing else is written: to whoever
recovers it, it is state from before the first record of the topic.
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
from typing import Final, NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from numpy.typing import NDArray

from bench.customers import Bought, Customers, account_id
from bench.process import ROOT, rss_bytes
from rules.desk import Desk
from rules.fold import Output, Record
from rules.language.compile import compile_ruleset
from rules.memory_line import FixedRulesets
from rules.router import PURCHASES, Router
from streams.engine.changelog import NO_FENCE, encode_changes
from streams.engine.partitioner import partition_for
from streams.engine.writer import BatchWriter, Delivery
from streams.process import spare_the_collector
from streams.topics import ASSESSMENTS_STATE

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

_RUN: Final = 500
_BATCH_BYTES: Final = 900_000
# Batches on their way at a time: what waits for the broker is not the accounts' memory.
_RUNS_IN_FLIGHT: Final = 20


@dataclass(frozen=True)
class Known:
    """What a partition's desk knows now: in how many changelog records, and how much memory it took in its process."""

    accounts: int
    records: int
    memory_bytes: int


class Target(NamedTuple):
    """Where the state is written, and by which rules it is made."""

    servers: str
    topic: str
    rule_file: str


def write_known_accounts(
    servers: str, prefix: str, rule_file: str, customers: Customers, partitions: int
) -> list[Known]:
    """Let the customers' first day pass, and write the state that is left, by partition. Takes all cores."""
    ids = (account_id(number).encode() for number in range(customers.accounts))
    partition_of = np.fromiter((partition_for(each, partitions) for each in ids), np.uint8)
    make = partial(_known, Target(servers, prefix + ASSESSMENTS_STATE, rule_file), customers, partition_of)
    # Each in a new process, whose memory holds nothing else.
    context, workers = multiprocessing.get_context("spawn"), min(partitions, os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, context, max_tasks_per_child=1) as pool:
        return list(pool.map(make, range(partitions)))


def _known(target: Target, customers: Customers, partition_of: NDArray[np.uint8], partition: int) -> Known:
    chosen = partition_of == partition
    records, memory_bytes = asyncio.run(_write(target, partition, customers.purchases(0, customers.history, chosen)))
    return Known(int(chosen.sum()), records, memory_bytes)


async def _write(target: Target, partition: int, purchases: Iterator[Bought]) -> tuple[int, int]:
    """Write what a partition's purchases leave; returns how many records that were, and the memory it took."""
    producer = AIOKafkaProducer(bootstrap_servers=target.servers, acks="all", max_batch_size=_BATCH_BYTES)
    await producer.start()
    writer = BatchWriter(producer, _BATCH_BYTES, _fail)
    line, deliveries, records = DeskLine(target.rule_file), list[Delivery](), 0
    spare_the_collector()
    before_bytes = rss_bytes(os.getpid())
    for run in _runs(purchases):
        line.decide(run)
        changed = encode_changes(line.changes(), NO_FENCE)
        deliveries += writer.extend(target.topic, partition, changed)
        records += len(changed)
        writer.send()
        deliveries = list(dict.fromkeys(deliveries))
        if len(deliveries) >= _RUNS_IN_FLIGHT:
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

    def __init__(self, rule_file: str) -> None:
        rulesets = FixedRulesets()
        rulesets.use(compile_ruleset((ROOT / "examples" / "rules" / rule_file).read_text(), rule_file))
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
        return Record(self._purchases - 1, bought.at_ms, account_id(bought.account).encode(), bought.value)
