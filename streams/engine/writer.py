"""Writes records in batches: one batch a target partition, whatever number of runs they come from.

A record leaves at once to a broker that has answered all that it was sent. What comes while one has not gathers, and
leaves in one request when it answers: at a low rate nobody waits, under load the batches grow by themselves.
"""

# aiokafka is typed in part only, and has no other place for this than its private attributes.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.engine.batch import RecordParts, fill, size_at_most


class Written(NamedTuple):
    """Where a batch was acknowledged; `base_offset` is -1 where the broker did not say."""

    base_offset: int
    records: int


Delivery = asyncio.Future[Written]


class RecordTooLargeError(Exception):
    """A group of records that must lie in one batch is larger than a batch may be."""


@dataclass(slots=True, eq=False)
class _Lane:
    """The batches on their way to one partition."""

    tp: TopicPartition
    builder: Any = None
    most_bytes: int = 0
    delivery: Delivery | None = None
    full: list[tuple[Any, Delivery]] = field(default_factory=list[tuple[Any, Delivery]])
    sender: asyncio.Task[None] | None = None


class BatchWriter:
    """Writes through the batches of one aiokafka producer; `on_failure` hears of a batch that is lost.

    A broker is sent one request at a time, with the batches of all its partitions; `gap_s` is for brokers that do
    not take many small ones: departures lie at least so far apart. What is written together is not waited for by
    anybody: it leaves with what is sent next, or when nothing was for `lull_s`.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        on_failure: Callable[[BaseException], None],
        *,
        most_bytes: int,
        most_together_bytes: int,
        gap_s: float = 0.0,
        lull_s: float = 0.0,
    ) -> None:
        """A batch has at most `most_bytes`, or, of records that are written together, `most_together_bytes`."""
        self._producer = producer
        self._on_failure = on_failure
        self._most_bytes = most_bytes
        self._most_together_bytes = most_together_bytes
        self._gap_s = gap_s
        self._lull_s = lull_s
        self._left_s = 0.0
        # Whether what is filled is to leave as soon as it may.
        self._is_due = False
        self._leaving: asyncio.Handle | None = None
        self._lull: asyncio.TimerHandle | None = None
        self._lanes: dict[tuple[str, int], _Lane] = {}
        # Lanes with records that nobody has sent on their way yet.
        self._filled: dict[_Lane, None] = {}

    def extend(self, topic: str, partition: int, records: Sequence[RecordParts]) -> list[Delivery]:
        """Put records behind those before them; they leave with the next `send`, or with a batch that is full.

        Each of the deliveries is done when the broker has acknowledged a batch that some of them lie in.
        """
        return self._extend(self._lane(topic, partition), records, self._most_bytes)

    def _extend(self, lane: _Lane, records: Sequence[RecordParts], most_bytes: int) -> list[Delivery]:
        self._filled[lane] = None
        deliveries: list[Delivery] = []
        begin = 0
        while begin < len(records):
            builder = lane.builder or self._open_batch(lane, most_bytes)
            assert lane.delivery is not None
            is_fresh = builder.record_count() == 0
            end = fill(builder, records, begin)
            if end > begin:
                deliveries.append(lane.delivery)
            elif is_fresh:
                raise RecordTooLargeError(f"a record for {lane.tp.topic} fits in no batch")
            if end < len(records):
                self._close_batch(lane)
            begin = end
        return deliveries

    def send(self) -> None:
        """Let all that was appended leave, as soon as its broker has answered and the gap allows."""
        self._is_due = True
        if self._leaving is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._left_s + self._gap_s - loop.time()
        # What else is sent in this turn of the loop leaves with it.
        self._leaving = loop.call_soon(self._leave) if wait_s <= 0 else loop.call_later(wait_s, self._leave)

    def _leave(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._lull is not None:
            self._lull.cancel()
            self._lull = None
        filled, self._filled = self._filled, {}
        for lane in filled:
            if self._is_awaited(lane.tp):
                self._filled[lane] = None
            else:
                self._wake(lane)
        if len(self._filled) < len(filled):
            self._left_s = asyncio.get_running_loop().time()
        # The rest leaves when its broker answers: `_settle`.
        self._is_due = bool(self._filled)

    def _is_awaited(self, tp: TopicPartition) -> bool:
        """Whether the partition's broker, or the partition, has been sent something that is not settled."""
        producer: Any = self._producer
        leader = producer.client.cluster.leader_for_partition(tp)
        return leader in producer._sender._in_flight or bool(producer._message_accumulator._batches.get(tp))

    def write_together(self, topic: str, partition: int, records: Sequence[RecordParts]) -> Delivery:
        """Put records into one and the same batch: the broker takes all of them or none.

        Raises RecordTooLargeError where they are too many for one batch.
        """
        size_bytes, most_bytes = size_at_most(records), self._most_together_bytes
        if size_bytes > most_bytes:
            raise RecordTooLargeError(
                f"{len(records)} records of {size_bytes} bytes for {topic} don't fit in one batch of {most_bytes} bytes"
            )
        lane = self._lane(topic, partition)
        if lane.builder is not None and lane.builder.size() + size_bytes > lane.most_bytes:
            self._close_batch(lane)
        deliveries = self._extend(lane, records, most_bytes)
        if len(deliveries) != 1:
            raise RecordTooLargeError(f"a batch for {topic} overflowed its estimate")
        # What else is due may wait for another broker.
        if self._leaving is None and self._lull is None:
            self._lull = asyncio.get_running_loop().call_later(self._lull_s, self._leave)
        return deliveries[0]

    def _lane(self, topic: str, partition: int) -> _Lane:
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = _Lane(TopicPartition(topic, partition))
        return lane

    def _open_batch(self, lane: _Lane, most_bytes: int) -> Any:
        producer: Any = self._producer
        # As `create_batch` does, whose batches are all of one size.
        lane.builder = BatchBuilder(most_bytes, producer._message_accumulator._compression_type)
        lane.most_bytes = most_bytes
        lane.delivery = asyncio.get_running_loop().create_future()
        return lane.builder

    def _close_batch(self, lane: _Lane) -> None:
        assert lane.delivery is not None
        lane.builder.close()
        lane.full.append((lane.builder, lane.delivery))
        lane.builder = lane.delivery = None

    def _wake(self, lane: _Lane) -> None:
        if lane.sender is not None or (not lane.full and lane.builder is None):
            return
        if self._is_known(lane.tp):
            self._hand_over(lane)
        else:
            lane.sender = asyncio.create_task(self._send(lane))

    def _is_known(self, tp: TopicPartition) -> bool:
        """Whether the producer would take a batch without asking for metadata, and take it at all."""
        producer: Any = self._producer
        accumulator, cluster = producer._message_accumulator, producer.client.cluster
        is_open = not accumulator._closed and accumulator._exception is None
        return is_open and cluster.leader_for_partition(tp) is not None

    def _hand_over(self, lane: _Lane) -> None:
        """Give the producer the lane's batches at once: a third of the time of a task that calls `send_batch`."""
        if lane.builder is not None:
            self._close_batch(lane)
        full, lane.full = lane.full, []
        producer: Any = self._producer
        for builder, delivery in full:
            batch = producer._message_accumulator._append_batch(builder, lane.tp)
            batch.future.add_done_callback(partial(self._settle, delivery, builder.record_count()))

    async def _send(self, lane: _Lane) -> None:
        """Send the lane's batches in order until none is left."""
        try:
            while lane.full or lane.builder is not None:
                if not lane.full:
                    self._close_batch(lane)
                builder, delivery = lane.full.pop(0)
                # Returns when the batch is queued, which is when the one before it left: meanwhile
                # the next batch fills up.
                acknowledged = await self._producer.send_batch(builder, lane.tp.topic, partition=lane.tp.partition)
                acknowledged.add_done_callback(partial(self._settle, delivery, builder.record_count()))
        except Exception as failure:  # noqa: BLE001  # whatever it is, it ends the process
            self._on_failure(failure)
        finally:
            lane.sender = None

    def _settle(self, delivery: Delivery, count: int, acknowledged: asyncio.Future[Any]) -> None:
        if acknowledged.cancelled():
            delivery.cancel()
            return
        failure = acknowledged.exception()
        if failure is not None:
            self._on_failure(failure)
            return
        if not delivery.done():
            delivery.set_result(Written(acknowledged.result().offset, count))
        if self._is_due:
            self.send()
