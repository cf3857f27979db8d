"""The outbox over a log that fails as drawn: nothing is lost, nothing changes places, and nobody waits to put."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.gateway.outbox import Limits, Outbox, QueuedRecord, RecordsRefusedError

PLENTY = Limits(10_000, 10_000_000)
PARTITIONS = 3
POISON = b"poison"


class BrokenError(Exception):
    """The connection is gone."""


class Log:
    """Partitions as a broker has them; `fates` says what becomes of each write that comes.

    ok: written and acknowledged; lost: not written; unacknowledged: written, but nobody hears of it.
    """

    def __init__(self, fates: Sequence[str] = (), batch: int = 3) -> None:
        self.fates = list(fates)
        self.batch = batch
        self.written: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
        self.batches: list[int] = []
        self.held: asyncio.Event | None = None
        self.under_way: set[tuple[str, int]] = set()

    def partition_of(self, topic: str, key: bytes | None) -> int:
        return key[0] % PARTITIONS if key else 0

    async def write(self, topic: str, partition: int, records: Sequence[QueuedRecord]) -> int:
        place = topic, partition
        assert place not in self.under_way, "one batch of a partition at a time"
        self.under_way.add(place)
        try:
            taken = [record.value for record in records][: self.batch]
            await asyncio.sleep(0)
            if self.held is not None:
                await self.held.wait()
            if POISON in taken:
                raise RecordsRefusedError(len(taken), "too large")
            fate = self.fates.pop(0) if self.fates else "ok"
            if fate != "lost":
                self.written[place] += taken
            if fate != "ok":
                raise BrokenError(fate)
            self.batches.append(len(taken))
            return len(taken)
        finally:
            self.under_way.discard(place)


class Line:
    """An outbox with its log: connected again whenever it broke."""

    def __init__(self, log: Log, limits: Limits = PLENTY) -> None:
        self.log = log
        self.lost: list[str] = []
        self.failures = 0
        self.outbox = Outbox(limits, self.lost.append, self._again)

    def _again(self, failure: Exception) -> None:
        assert isinstance(failure, BrokenError), failure
        self.failures += 1
        asyncio.get_running_loop().call_soon(self.outbox.connect, _Sink(self.log))


class _Sink:
    """One connection to the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.partition_of = log.partition_of
        self.write = log.write


def firsts(values: Sequence[bytes]) -> list[bytes]:
    """Each value once, where it came first."""
    return list(dict.fromkeys(values))


@settings(deadline=None)
@given(
    keys=st.lists(st.integers(0, 5), max_size=40),
    fates=st.lists(st.sampled_from(["ok", "lost", "unacknowledged"]), max_size=12),
    connected_at=st.integers(0, 10),
)
def test_each_partition_gets_all_its_records_in_the_order_in_which_they_were_put(
    keys: list[int], fates: list[str], connected_at: int
) -> None:
    async def run() -> None:
        line = Line(Log(fates))
        for number, key in enumerate(keys):
            if number == connected_at:
                line.outbox.connect(_Sink(line.log))
            assert line.outbox.put("purchases", bytes([key]), b"%d" % number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        line.outbox.connect(_Sink(line.log))
        assert await line.outbox.drain(5) == 0
        for partition in range(PARTITIONS):
            expected = [b"%d" % number for number, key in enumerate(keys) if key % PARTITIONS == partition]
            written = line.log.written["purchases", partition]
            assert firsts(written) == expected
            if "unacknowledged" not in fates:
                assert written == expected
        assert line.outbox.queued == line.outbox.queued_bytes == 0

    asyncio.run(run())


async def test_while_a_batch_is_under_way_further_records_gather_into_the_next() -> None:
    line = Line(Log(batch=100))
    line.log.held = asyncio.Event()
    line.outbox.connect(_Sink(line.log))
    line.outbox.put("purchases", b"a", b"first")
    await asyncio.sleep(0.01)
    for number in range(9):
        line.outbox.put("purchases", b"a", b"%d" % number)
    line.log.held.set()
    assert await line.outbox.drain(1) == 0
    assert line.log.batches == [1, 9]


async def test_a_partition_that_is_stuck_holds_up_no_other_and_tells_how_long() -> None:
    class Stuck(Log):
        async def write(self, topic: str, partition: int, records: Sequence[QueuedRecord]) -> int:
            if partition == 1:
                await asyncio.sleep(60)
            return await super().write(topic, partition, records)

    line = Line(Stuck())
    line.outbox.connect(_Sink(line.log))
    line.outbox.put("purchases", b"\x01", b"stuck")
    line.outbox.put("purchases", b"\x02", b"free")
    await asyncio.sleep(0.05)
    later_s = asyncio.get_running_loop().time() + 10
    assert line.log.written == {("purchases", 2): [b"free"]}
    assert line.outbox.waiting_s("purchases", b"\x01", later_s) > 10
    assert line.outbox.waiting_s("purchases", b"\x02", later_s) == 0
    assert line.outbox.oldest_wait_s(later_s) > 10
    assert await line.outbox.drain(0.01) == 1


@pytest.mark.parametrize("limits", [Limits(3, 10_000), Limits(10_000, 3 * 101)])
async def test_what_does_not_fit_is_not_taken_but_what_is_owed_is(limits: Limits) -> None:
    line = Line(Log(), limits)
    taken = [line.outbox.put("purchases", b"k", b"x" * 100) for _ in range(5)]
    assert taken == [True, True, True, False, False]
    assert line.outbox.put("decisions.degraded", b"k", b"x" * 100, owed=True)
    line.outbox.connect(_Sink(line.log))
    assert await line.outbox.drain(1) == 0
    assert line.outbox.put("purchases", b"k", b"x" * 100)


async def test_a_record_that_is_refused_for_good_is_told_and_those_around_it_are_written() -> None:
    line = Line(Log(batch=4))
    for value in (b"1", b"2", POISON, b"3", b"4", b"5"):
        line.outbox.put("purchases", b"k", value)
    line.outbox.connect(_Sink(line.log))
    assert await line.outbox.drain(1) == 0
    assert line.lost == ["purchases"]
    assert line.log.written["purchases", b"k"[0] % PARTITIONS] == [b"1", b"2", b"3", b"4", b"5"]
    assert line.failures == 0


async def test_a_record_may_name_its_partition() -> None:
    line = Line(Log())
    line.outbox.connect(_Sink(line.log))
    line.outbox.put("inquiries", None, b"question", partition=2)
    assert await line.outbox.drain(1) == 0
    assert line.log.written == {("inquiries", 2): [b"question"]}


async def test_draining_ends_when_time_is_up_and_tells_what_is_left() -> None:
    line = Line(Log())
    line.log.held = asyncio.Event()
    line.outbox.connect(_Sink(line.log))
    for number in range(5):
        line.outbox.put("purchases", b"k", b"%d" % number)
    assert await line.outbox.drain(0.02) == 5
    line.log.held.set()
    await asyncio.sleep(0.02)
    assert [topic for topic, _ in groupby(line.log.written)] == []
