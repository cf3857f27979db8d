"""The invariants of an owned partition, without a broker."""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.partition import Admission, OwnedPartition, Run, cut_into_runs


@dataclass
class Raw:
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0


def fetched(*offsets: int) -> list[Raw]:
    return [Raw(offset) for offset in offsets]


def opened(at: int) -> OwnedPartition:
    partition = OwnedPartition(TopicPartition("purchases", 0))
    partition.open(at)
    return partition


def offsets(records: object) -> list[int]:
    return [record.offset for record in records]  # type: ignore[attr-defined]


def test_records_from_the_expected_offset_are_taken() -> None:
    partition = opened(5)
    assert offsets(partition.admit(fetched(5, 6, 7)).records) == [5, 6, 7]
    assert partition.expected == 8


def test_records_that_were_taken_before_are_dropped() -> None:
    partition = opened(5)
    partition.admit(fetched(5, 6))
    assert offsets(partition.admit(fetched(5, 6, 7)).records) == [7]
    assert partition.admit(fetched(6)).records == ()


def test_a_jump_is_read_again_and_nothing_is_taken() -> None:
    partition = opened(5)
    admission = partition.admit(fetched(9, 10))
    assert admission.records == ()
    assert admission.reread_from == 5
    assert partition.expected == 5


def test_a_jump_that_the_broker_repeats_is_a_hole_and_is_counted() -> None:
    partition = opened(5)
    partition.admit(fetched(9, 10))
    assert offsets(partition.admit(fetched(9, 10)).records) == [9, 10]
    assert partition.holes == 4


def test_a_jump_that_was_a_mistake_loses_nothing() -> None:
    partition = opened(5)
    partition.admit(fetched(9))
    assert offsets(partition.admit(fetched(5, 6, 7, 8, 9)).records) == [5, 6, 7, 8, 9]
    assert partition.holes == 0


def test_another_jump_is_not_believed_on_the_word_of_the_first() -> None:
    partition = opened(5)
    partition.admit(fetched(9))
    assert partition.admit(fetched(11)).reread_from == 5


def test_a_partition_that_is_not_open_takes_nothing() -> None:
    partition = OwnedPartition(TopicPartition("purchases", 0))
    assert partition.admit(fetched(0)).records == ()


def test_a_partition_that_was_given_up_takes_finishes_and_commits_nothing() -> None:
    partition = opened(0)
    run = partition.take(partition.admit(fetched(0, 1)).records)
    partition.close()
    partition.finish(run)
    assert partition.to_commit() is None
    assert partition.admit(fetched(2)).records == ()


def test_only_the_finished_prefix_is_committed() -> None:
    partition = opened(0)
    first, second, third = (partition.take(partition.admit(fetched(offset)).records) for offset in (0, 1, 2))
    partition.finish(third)
    partition.finish(second)
    assert partition.committable == 0
    partition.finish(first)
    assert partition.committable == 3
    assert partition.idle


@given(
    start=st.integers(0, 100),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_the_commit_never_passes_an_unfinished_run(start: int, sizes: list[int], order: object) -> None:
    partition = opened(start)
    runs: list[Run] = []
    offset = start
    for size in sizes:
        runs.append(partition.take(partition.admit(fetched(*range(offset, offset + size))).records))
        offset += size
    shuffled = list(runs)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for run in shuffled:
        partition.finish(run)
        unfinished = [r for r in runs if not r.finished]
        bound = unfinished[0].records[0].offset if unfinished else offset
        assert partition.committable == bound


@given(
    log=st.lists(st.booleans(), min_size=1, max_size=60),
    jumps=st.lists(st.integers(0, 59), max_size=6),
    fetch=st.integers(1, 7),
)
def test_whatever_the_read_position_does_every_record_is_taken_once_and_in_order(
    log: list[bool], jumps: list[int], fetch: int
) -> None:
    """`log` says which offsets hold a record; the position jumps astray, but not twice running.

    A second jump to the same place right after the partition was read again is the broker's word.
    """
    present = [offset for offset, kept in enumerate(log) if kept]
    partition = opened(0)
    position, taken, astray, reread = 0, list[int](), list(jumps), False
    for _ in range(400):
        if astray and not reread:
            position = astray.pop()
        batch = [offset for offset in present if offset >= position][:fetch]
        if not batch:
            if partition.expected is not None and position > partition.expected:
                position = partition.expected
                continue
            break
        position = batch[-1] + 1
        admission = partition.admit(fetched(*batch))
        reread = admission.reread_from is not None
        if admission.reread_from is not None:
            position = admission.reread_from
        taken += offsets(admission.records)
    assert taken == present


def test_runs_are_bounded_by_records_and_by_bytes_and_lose_nothing() -> None:
    small = fetched(*range(700))
    assert [len(run) for run, _ in cut_into_runs(small)] == [300, 300, 100]
    large = [Raw(number, value=b"x" * 60_000) for number in range(5)]
    assert [len(run) for run, _ in cut_into_runs(large)] == [2, 2, 1]
    larger = [Raw(number, value=b"x" * 900_000) for number in range(2)]
    assert [len(run) for run, _ in cut_into_runs(larger)] == [1, 1]
    assert [size_bytes for _, size_bytes in cut_into_runs(large)] == [120_400, 120_400, 60_200]
    for records in (small, large, larger, []):
        assert [record for run, _ in cut_into_runs(records) for record in run] == records


def test_with_patience_a_hole_inside_a_fetch_is_read_again_until_it_fills() -> None:
    partition = OwnedPartition(TopicPartition("purchases", 0), patience_s=5.0)
    partition.open(0)
    admission = partition.admit(fetched(0, 1, 4, 5), 10.0)
    assert (offsets(admission.records), admission.reread_from) == ([0, 1], 2)
    assert partition.admit(fetched(4, 5, 6), 10.0) == Admission(reread_from=2)
    assert partition.admit(fetched(4, 5, 6, 7), 12.0) == Admission(reread_from=2, is_known=True)
    assert offsets(partition.admit(fetched(2, 3, 4, 5), 13.0).records) == [2, 3, 4, 5]
    assert partition.holes == 0


def test_with_patience_a_hole_is_believed_when_it_has_been_there_for_so_long() -> None:
    partition = OwnedPartition(TopicPartition("purchases", 0), patience_s=5.0)
    partition.open(0)
    assert partition.admit(fetched(3), 10.0).reread_from == 0
    assert partition.admit(fetched(3, 4), 14.9).reread_from == 0
    assert offsets(partition.admit(fetched(3, 4), 15.0).records) == [3, 4]
    assert partition.holes == 3


def test_without_patience_a_hole_inside_a_fetch_is_the_logs_own() -> None:
    partition = OwnedPartition(TopicPartition("purchases", 0))
    partition.open(0)
    assert offsets(partition.admit(fetched(0, 1, 4, 5)).records) == [0, 1, 4, 5]
    assert partition.holes == 2
