"""The outbox: what a gateway has to write, kept in order for each partition until a broker has acknowledged it.

Whoever puts a record there never waits. While one batch of a partition is under way further records gather behind
it and leave together. A batch that fails is sent again, for as long as it takes: a record may be written twice, which
its transaction id makes harmless, but never lost or moved before an earlier one while the process lives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from rules.fold import Headers

log = structlog.get_logger(__name__)


class QueuedRecord(NamedTuple):
    """A record that is not acknowledged yet; `put_s` is when it was put here, by the loop's clock."""

    key: bytes | None
    value: bytes
    headers: Headers
    put_s: float

    @property
    def size_bytes(self) -> int:
        """What it holds, without what Python adds."""
        return len(self.key or b"") + len(self.value) + sum(len(name) + len(value) for name, value in self.headers)


class RecordsRefusedError(Exception):
    """The broker will not take these records, however often they are sent: `records` were in the batch."""

    def __init__(self, records: int, reason: str) -> None:
        super().__init__(reason)
        self.records = records


class Sink(Protocol):
    """Where the outbox writes to."""

    def partition_of(self, topic: str, key: bytes | None) -> int:
        """The partition in which records with a key lie."""
        ...

    async def write(self, topic: str, partition: int, records: Sequence[QueuedRecord]) -> int:
        """Write as many of the first records as one batch takes; returns how many are acknowledged.

        Raises RecordsRefusedError for records that no retry gets written. After any other error the sink is given up.
        """
        ...


class Limits(NamedTuple):
    """How much an outbox takes."""

    records: int
    size_bytes: int


@dataclass(slots=True, eq=False)
class _Lane:
    """The records on their way to one partition, oldest first."""

    topic: str
    partition: int
    records: deque[QueuedRecord] = field(default_factory=deque[QueuedRecord])
    pump: asyncio.Task[None] | None = None
    # After a refusal records leave one by one, until it is known which of them was meant.
    one_by_one: int = 0


class Outbox:
    """Bounded; records that don't fit are not taken.

    `on_lost` hears the topic of each record that a broker refused for good, `on_failure` when the sink broke.
    """

    def __init__(self, limits: Limits, on_lost: Callable[[str], None], on_failure: Callable[[Exception], None]) -> None:
        self._limits = limits
        self._on_lost = on_lost
        self._on_failure = on_failure
        self._sink: Sink | None = None
        self._lanes: dict[tuple[str, int], _Lane] = {}
        # Before the first broker answered nobody knows how many partitions there are.
        self._unplaced: deque[tuple[str, int | None, QueuedRecord]] = deque()
        self._queued = self._queued_bytes = 0
        self._emptied: asyncio.Event = asyncio.Event()

    @property
    def queued(self) -> int:
        """Records that are not acknowledged yet."""
        return self._queued

    @property
    def queued_bytes(self) -> int:
        """What they hold."""
        return self._queued_bytes

    def waiting_s(self, topic: str, key: bytes, now_s: float) -> float:
        """How long the oldest record before one with this key has waited; 0 where none does."""
        if self._sink is None:
            oldest = self._unplaced[0][2] if self._unplaced else None
            return now_s - oldest.put_s if oldest else 0.0
        lane = self._lanes.get((topic, self._sink.partition_of(topic, key)))
        return now_s - lane.records[0].put_s if lane and lane.records else 0.0

    def oldest_wait_s(self, now_s: float) -> float:
        """How long the oldest record of all has waited."""
        heads = [lane.records[0].put_s for lane in self._lanes.values() if lane.records]
        heads += [self._unplaced[0][2].put_s] if self._unplaced else []
        return now_s - min(heads, default=now_s)

    def put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        headers: Headers = (),
        *,
        partition: int | None = None,
        owed: bool = False,
    ) -> bool:
        """Take a record, to be written behind those put before it; False where there is no room, and it is not taken.

        `owed` is for a record that belongs to one that was taken: there is always room for it.
        """
        record = QueuedRecord(key, value, headers, asyncio.get_running_loop().time())
        size_bytes = record.size_bytes
        limits = self._limits
        if not owed and (self._queued >= limits.records or self._queued_bytes + size_bytes > limits.size_bytes):
            return False
        self._queued += 1
        self._queued_bytes += size_bytes
        self._emptied.clear()
        if self._sink is None:
            self._unplaced.append((topic, partition, record))
        else:
            self._place(self._sink, topic, partition, record)
        return True

    # -- writing ------------------------------------------------------------------------------------

    def connect(self, sink: Sink) -> None:
        """Write to this sink from now on."""
        self._sink = sink
        unplaced, self._unplaced = self._unplaced, deque()
        for topic, partition, record in unplaced:
            self._place(sink, topic, partition, record)
        for lane in self._lanes.values():
            self._wake(lane)

    def disconnect(self) -> None:
        """Begin no batch until there is another sink; what is under way may still arrive."""
        self._sink = None

    async def drain(self, timeout_s: float) -> int:
        """Wait until all is written, at most so long; returns how many records are left."""
        if self._queued:
            try:
                await asyncio.wait_for(self._emptied.wait(), timeout_s)
            except TimeoutError:
                log.error("records are left unwritten", records=self._queued)
        self.disconnect()
        for lane in self._lanes.values():
            if lane.pump is not None:
                lane.pump.cancel()
        return self._queued

    def _place(self, sink: Sink, topic: str, partition: int | None, record: QueuedRecord) -> None:
        where = sink.partition_of(topic, record.key) if partition is None else partition
        lane = self._lanes.get((topic, where))
        if lane is None:
            lane = self._lanes[topic, where] = _Lane(topic, where)
        lane.records.append(record)
        self._wake(lane)

    def _wake(self, lane: _Lane) -> None:
        if lane.pump is None and lane.records and self._sink is not None:
            lane.pump = asyncio.create_task(self._pump(lane, self._sink), name=f"write {lane.topic}/{lane.partition}")

    async def _pump(self, lane: _Lane, sink: Sink) -> None:
        """Write a lane's records until none is left or there is another sink."""
        try:
            while lane.records and self._sink is sink:
                await self._write(lane, sink)
        except Exception as failure:  # noqa: BLE001  # whatever it is, another sink may do better
            if self._sink is sink:
                self._sink = None
                self._on_failure(failure)
        finally:
            lane.pump = None
            self._wake(lane)

    async def _write(self, lane: _Lane, sink: Sink) -> None:
        records: Sequence[QueuedRecord] = [lane.records[0]] if lane.one_by_one else lane.records
        try:
            written = await sink.write(lane.topic, lane.partition, records)
        except RecordsRefusedError as refused:
            if refused.records > 1:
                lane.one_by_one = refused.records
                return
            log.error("a record is refused for good", topic=lane.topic, reason=str(refused))
            self._on_lost(lane.topic)
            written = 1
        lane.one_by_one = max(0, lane.one_by_one - written)
        for _ in range(written):
            self._queued_bytes -= lane.records.popleft().size_bytes
        self._queued -= written
        if not self._queued:
            self._emptied.set()
