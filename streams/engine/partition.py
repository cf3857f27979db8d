"""One owned source partition: which records it may take, and how far it may commit.

Three invariants are held here, in plain code that no broker is needed to test:

* continuity: a run is taken only if it starts at the offset that is expected next; a jump is read again
  once and believed only when the broker repeats it (compaction and transaction markers leave holes);
* contiguous commits: the committable offset moves over finished runs only in the order they were taken,
  from the offset at which the partition was opened;
* epochs: a partition that was given up takes nothing and finishes nothing, whatever is still in flight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import TopicPartition

from rules.fold import SourceRecord

# A run is short enough that heartbeats and acknowledgements are served in between, and that the state which
# it changes fits in one batch, also where each record holds many purchases.
MAX_RUN_RECORDS: Final = 300
MAX_RUN_BYTES: Final = 128 * 1024
# What a record takes beside its value, roughly.
_RECORD_BYTES: Final = 200


def cut_into_runs(records: Sequence[SourceRecord]) -> Iterator[Sequence[SourceRecord]]:
    """Records in runs of at most so many, and of at most so many bytes where they are more than one."""
    begin, run_bytes = 0, 0
    for index, record in enumerate(records):
        record_bytes = size_of(record)
        if index > begin and (index - begin == MAX_RUN_RECORDS or run_bytes + record_bytes > MAX_RUN_BYTES):
            yield records[begin:index]
            begin, run_bytes = index, 0
        run_bytes += record_bytes
    if begin < len(records):
        yield records[begin:]


def size_of(record: SourceRecord) -> int:
    """About how much memory a record takes, in bytes."""
    return len(record.value or b"") + _RECORD_BYTES


@dataclass(slots=True, eq=False)
class Run:
    """Consecutive records of one partition that travel through the worker as one message.

    `taken_s` is when, by a clock that only goes forward.
    """

    owner: OwnedPartition
    records: Sequence[SourceRecord]
    taken_s: float
    finished: bool = False
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = sum([size_of(record) for record in self.records])

    @property
    def end(self) -> int:
        """The offset behind the last record."""
        return self.records[-1].offset + 1


@dataclass(slots=True)
class Admission:
    """What became of fetched records: those to process, or the offset to read again from."""

    records: Sequence[SourceRecord] = ()
    reread_from: int | None = None


@dataclass(slots=True, eq=False)
class OwnedPartition:
    """A source partition between its assignment and its revocation. `expected` is None until it is open."""

    tp: TopicPartition
    expected: int | None = None
    committable: int | None = None
    committed: int | None = None
    closed: bool = False
    holes: int = 0
    _jump: tuple[int, int] | None = None
    _in_flight: deque[Run] = field(default_factory=deque[Run])

    @property
    def is_open(self) -> bool:
        """Whether records may be taken."""
        return self.expected is not None and not self.closed

    @property
    def idle(self) -> bool:
        """Whether nothing that was taken is still unfinished."""
        return not self._in_flight

    def open(self, offset: int) -> None:
        """Begin to take records at `offset`; everything below it is already done."""
        self.expected = self.committable = offset

    def close(self) -> None:
        """Give the partition up: from here on nothing is taken, finished or committed."""
        self.closed = True
        self._in_flight.clear()

    def admit(self, fetched: Sequence[SourceRecord]) -> Admission:
        """Decide on fetched records (not empty, ascending offsets)."""
        expected = self.expected
        if expected is None or self.closed:
            return Admission()
        if fetched[0].offset < expected:
            fetched = [record for record in fetched if record.offset >= expected]
            if not fetched:
                return Admission()
        first = fetched[0].offset
        if first > expected:
            if self._jump != (expected, first):
                self._jump = (expected, first)
                return Admission(reread_from=expected)
            self.holes += first - expected
        self._jump = None
        self.expected = fetched[-1].offset + 1
        return Admission(records=fetched)

    @property
    def oldest_taken_s(self) -> float | None:
        """When the oldest run that is not finished was taken; None where there is none."""
        return self._in_flight[0].taken_s if self._in_flight else None

    def take(self, records: Sequence[SourceRecord], taken_s: float = 0.0) -> Run:
        """Make a run of admitted records and keep it until it is finished."""
        run = Run(self, records, taken_s)
        self._in_flight.append(run)
        return run

    def finish(self, run: Run) -> None:
        """Mark a run as done for good; moves `committable` over the finished prefix."""
        run.finished = True
        if self.closed:
            return
        in_flight = self._in_flight
        while in_flight and in_flight[0].finished:
            self.committable = in_flight.popleft().end

    def to_commit(self) -> int | None:
        """The offset to commit now, or None if there is nothing new."""
        if self.closed or self.committable is None or self.committable == self.committed:
            return None
        return self.committable
