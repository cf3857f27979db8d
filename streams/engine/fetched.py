"""What a consumer has fetched, unpacked a batch at a time.

aiokafka makes each record by a generator and a dataclass of eleven fields, of which a fold reads six: that costs a
worker as much as the rest of the fetch. Here the same batches become `rules.fold.Record`s in one list, by the same
checks: checksums, control batches, records before the position (aio-libs/aiokafka, consumer/fetcher.py:
`PartitionRecords._unpack_records`).
"""

# aiokafka is typed in part only, and has no other place for this than its private attributes.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException

from rules.fold import Record
from rules.quick_tuple import quick

_record: Final = quick(Record)


class FetchedRecords:
    """The records that one response holds of one partition, in the place of aiokafka's own `PartitionRecords`."""

    def __init__(self, fetched: PartitionRecords) -> None:
        self._fetched = fetched
        self.next_fetch_offset: int = fetched.next_fetch_offset

    def __iter__(self) -> Iterator[Record]:
        """All records from the position on; `next_fetch_offset` lies behind them then.

        Raises CorruptRecordException where a batch does not have the checksum that it was written with.
        """
        records, self.next_fetch_offset = self._unpacked()
        return iter(records)

    def _unpacked(self) -> tuple[list[Record], int]:
        tp, batches, position = self._fetched._tp, self._fetched._records, self.next_fetch_offset
        partition = tp.partition
        records: list[Record] = []
        while batches.has_next():
            batch: Any = batches.next_batch()
            if not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {tp}")
            if not batch.is_control_batch:
                records += [
                    _record((r.offset, r.timestamp, r.key, r.value, tuple(r.headers), partition)) for r in batch
                ]
            position = batch.next_offset
        # A batch is sent whole, also where the position lies within it.
        if records and records[0].offset < self.next_fetch_offset:
            records = [record for record in records if record.offset >= self.next_fetch_offset]
        return records, position


class _Fetched(OrderedDict[Any, Any]):
    """What a fetcher keeps until it is asked for it: results and errors by partition."""

    def __setitem__(self, tp: Any, result: Any) -> None:
        if isinstance(result, FetchResult):
            untyped: Any = result
            untyped._partition_records = FetchedRecords(untyped._partition_records)
        super().__setitem__(tp, result)


def unpack_at_once(consumer: AIOKafkaConsumer) -> None:
    """Let `getmany` of a started consumer, which must not have fetched yet, return `Record`s.

    It has to read uncommitted records too, as aiokafka does by default, and all of what was fetched at a time.
    """
    fetcher: Any = consumer._fetcher
    fetcher._records = _Fetched()
