"""Many records into one batch, held against aiokafka's own way of one at a time."""

# aiokafka is typed in part only, and what is compared here has no public name.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import time

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.batch import OutgoingRecord, RecordParts, fill, size_at_most

records = st.builds(
    OutgoingRecord,
    st.none() | st.binary(max_size=9),
    st.none() | st.binary(max_size=200),
    st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9)), max_size=3).map(tuple),
    st.integers(0, 2**41),
)
many = st.lists(records, max_size=12)


def one_by_one(batch_bytes: int, parts: list[RecordParts]) -> tuple[BatchBuilder, int]:
    builder = BatchBuilder(batch_bytes, 0)
    for number, (key, value, headers, timestamp_ms) in enumerate(parts):
        if builder.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers)) is None:
            return builder, number
    return builder, len(parts)


@given(many, st.integers(0, 3), st.sampled_from([100, 500, 100_000]))
def test_a_batch_has_the_bytes_that_aiokafka_would_give_it(parts: list[OutgoingRecord], at: int, size: int) -> None:
    begin = min(at, len(parts))
    theirs, taken = one_by_one(size, list(parts[begin:]))
    ours = BatchBuilder(size, 0)
    assert fill(ours, parts, begin) == begin + taken
    assert ours.record_count() == theirs.record_count()
    assert bytes(ours._build()) == bytes(theirs._build())


@given(many, many)
def test_a_batch_goes_on_where_it_was_left(first: list[OutgoingRecord], second: list[OutgoingRecord]) -> None:
    theirs, _ = one_by_one(100_000, [*first, *second])
    ours = BatchBuilder(100_000, 0)
    fill(ours, first, 0)
    fill(ours, second, 0)
    assert bytes(ours._build()) == bytes(theirs._build())


def test_a_batch_that_is_closed_takes_nothing() -> None:
    builder = BatchBuilder(100_000, 0)
    builder.close()
    assert fill(builder, [OutgoingRecord(b"a", b"1")], 0) == 0


def test_a_record_without_a_time_is_of_now() -> None:
    before_ms = int(time.time() * 1000)
    builder = BatchBuilder(100_000, 0)
    fill(builder, [OutgoingRecord(b"a", b"1"), OutgoingRecord(b"b", b"2", (), 5)], 0)
    batch = MemoryRecords(bytes(builder._build())).next_batch()
    assert batch is not None
    first_ms, second_ms = (record.timestamp for record in batch)
    assert first_ms is not None
    assert before_ms <= first_ms <= int(time.time() * 1000)
    assert second_ms == 5


@given(many)
def test_the_size_is_never_more_than_was_estimated(parts: list[OutgoingRecord]) -> None:
    empty, builder = BatchBuilder(100_000, 0), BatchBuilder(100_000, 0)
    fill(builder, parts, 0)
    assert builder.size() - empty.size() <= size_at_most(parts)
