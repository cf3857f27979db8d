"""Which records a recorder takes of what a broker shows, where a later record may be seen before an earlier one."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from rules.fold import Record, SourceRecord
from streams.recording.holes import Holes

TP = TopicPartition("purchases", 0)


def records(*offsets: int) -> list[Record]:
    return [Record(offset, 0, None, None) for offset in offsets]


def offsets(shown: Sequence[SourceRecord]) -> list[int]:
    return [record.offset for record in shown]


def test_without_patience_a_hole_is_believed_at_once() -> None:
    assert Holes(0.0).judge(TP, records(3, 7), 1, 0.0) == (records(3, 7), None)


def test_what_comes_before_a_hole_is_taken_and_the_rest_read_again() -> None:
    assert Holes(5.0).judge(TP, records(1, 2, 5, 6), 1, 0.0) == (records(1, 2), 3)


def test_a_hole_at_the_front_is_read_again_until_it_was_there_long_enough() -> None:
    holes = Holes(5.0)
    for now_s in (0.0, 2.0, 4.9):
        assert holes.judge(TP, records(3, 4), 1, now_s) == ([], 1)
    assert holes.judge(TP, records(3, 4), 1, 5.0) == (records(3, 4), None)


def test_a_hole_that_fills_is_none() -> None:
    holes = Holes(5.0)
    assert holes.judge(TP, records(3, 4), 1, 0.0) == ([], 1)
    assert holes.judge(TP, records(1, 2, 3, 4), 1, 1.0) == (records(1, 2, 3, 4), None)


def test_each_hole_and_each_partition_has_its_own_patience() -> None:
    holes, other = Holes(5.0), TopicPartition("purchases", 1)
    assert holes.judge(TP, records(3, 9), 1, 0.0) == ([], 1)
    assert holes.judge(other, records(3), 1, 4.0) == ([], 1)
    assert holes.judge(TP, records(3, 9), 1, 5.0) == (records(3), 4)
    assert holes.judge(other, records(3), 1, 5.0) == ([], 1)
    assert holes.judge(TP, records(9), 4, 10.0) == (records(9), None)


@given(there=st.sets(st.integers(0, 30)), due=st.integers(0, 5), patience_s=st.sampled_from([0.0, 3.0]))
def test_all_that_is_there_is_taken_at_last_once_and_in_order(there: set[int], due: int, patience_s: float) -> None:
    holes, taken, log = Holes(patience_s), list[int](), sorted(there)
    position = due
    for now_s in range(200):
        fetched = records(*[offset for offset in log if offset >= position])
        shown, reread_from = holes.judge(TP, fetched, position, float(now_s))
        taken += offsets(shown)
        position = taken[-1] + 1 if taken and shown else position
        assert reread_from in (None, position)
    assert taken == [offset for offset in log if offset >= due]
