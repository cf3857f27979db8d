"""Writes the outbox's batches through one aiokafka producer."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from streams.engine.partitioner import partition_for
from streams.gateway.outbox import QueuedRecord, RecordsRefusedError

# Sent again they would be refused again.
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError)


class KafkaSink:
    """A producer, and how many partitions each topic has; topics are named without the prefix."""

    def __init__(self, producer: AIOKafkaProducer, prefix: str, partitions: Mapping[str, int]) -> None:
        self._producer = producer
        self._prefix = prefix
        self._partitions = partitions

    def partition_of(self, topic: str, key: bytes | None) -> int:
        """The partition in which records with a key lie."""
        return partition_for(key, self._partitions[topic]) if key is not None else 0

    async def write(self, topic: str, partition: int, records: Sequence[QueuedRecord]) -> int:
        """Write one batch; returns how many of the records are acknowledged. See `Sink`."""
        batch, written = self._producer.create_batch(), 0
        for record in records:
            # The first record of a batch is taken whatever its size; the broker has the last word.
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is None:
                break
            written += 1
        try:
            acknowledged = await self._producer.send_batch(batch, self._prefix + topic, partition=partition)
            await acknowledged
        except _REFUSALS as error:
            raise RecordsRefusedError(written, repr(error)) from None
        return written
