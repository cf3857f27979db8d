"""What a consumer unpacks at once, held against aiokafka's own way."""

# aiokafka is typed in part only, and what is replaced here has no public name.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from rules.fold import Record
from streams.engine.fetched import FetchedRecords, _Fetched

TP = TopicPartition("purchases", 3)
# Where attributes lie in a batch, and the bit that marks it as a transaction's own (KIP-98).
_ATTRIBUTES_AT, _CONTROL_BIT = 22, 0x20
_CRC_AT, _CRC_BEGIN = 17, 21


class Written(NamedTuple):
    """A record, as many offsets behind the one before as it says."""

    gap: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


writings = st.builds(
    Written,
    st.integers(1, 3),
    st.integers(0, 2**41),
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=200),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=9)), max_size=3),
)
# GZIP is what Python brings along.
batches = st.lists(st.tuples(st.lists(writings, min_size=1, max_size=6), st.sampled_from([0, 1])), max_size=4)


def written(log: list[tuple[list[Written], int]], begin: int) -> bytes:
    raw, offset = b"", begin - 1
    for records, compression in log:
        builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, 0, 1_000_000)
        base = offset + 1
        for record in records:
            offset += record.gap
            builder.append(offset - base, record.timestamp_ms, record.key, record.value, record.headers)
        batch = builder.build()
        # The base offset is the broker's to say, and not under the checksum.
        batch[:8] = base.to_bytes(8, "big")
        raw += bytes(batch)
    return raw


def unpacker(raw: bytes, position: int) -> PartitionRecords:
    return PartitionRecords(TP, MemoryRecords(raw), None, position, None, None, True, 0)


@given(batches, st.integers(0, 2**40), st.integers(0, 12))
def test_the_records_are_those_that_aiokafka_gives(
    log: list[tuple[list[Written], int]], begin: int, ahead: int
) -> None:
    raw = written(log, begin)
    # A broker begins with the batch in which the position lies.
    position = begin + min(ahead, sum(record.gap for record in log[0][0]) - 1 if log else 0)
    theirs, ours = unpacker(raw, position), FetchedRecords(unpacker(raw, position))
    expected = [Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers), r.partition) for r in theirs]
    assert list(ours) == expected
    if raw:
        assert ours.next_fetch_offset == theirs.next_fetch_offset


def test_the_marks_of_transactions_are_passed_over() -> None:
    record = Written(1, 5, b"k", b"v", [])
    raw = bytearray(written([([record], 0), ([record], 0), ([record], 0)], 10))
    size = len(raw) // 3
    marked = memoryview(raw)[size : 2 * size]
    marked[_ATTRIBUTES_AT] |= _CONTROL_BIT
    marked[_CRC_AT:_CRC_BEGIN] = calc_crc32c(bytes(marked[_CRC_BEGIN:])).to_bytes(4, "big")
    theirs, ours = unpacker(bytes(raw), 10), FetchedRecords(unpacker(bytes(raw), 10))
    assert [r.offset for r in ours] == [r.offset for r in theirs] == [10, 12]
    assert ours.next_fetch_offset == theirs.next_fetch_offset == 13


def test_a_batch_with_another_checksum_is_refused_and_the_position_stays() -> None:
    raw = bytearray(written([([Written(1, 5, b"k", b"value", [])], 0)] * 2, 10))
    raw[-3] ^= 1
    records = FetchedRecords(unpacker(bytes(raw), 10))
    with pytest.raises(CorruptRecordException, match="purchases"):
        list(records)
    assert records.next_fetch_offset == 10


def test_results_that_a_fetcher_keeps_are_unpacked_so_and_errors_stay_as_they_are() -> None:
    kept: Any = _Fetched()
    raw = written([([Written(1, 5, b"k", b"v", [])], 0)], 0)
    kept[TP] = FetchResult(TP, assignment=None, partition_records=unpacker(raw, 0), backoff=0)
    assert isinstance(kept[TP]._partition_records, FetchedRecords)
    error = kept[TP] = FetchError(error=CorruptRecordException(), backoff=0)
    assert kept[TP] is error
