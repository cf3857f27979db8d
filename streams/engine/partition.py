"""One owned source partition: which records it may take, and how far it may commit.

Three invariants are held here, in plain code that no broker is needed to test:

* continuity: a run is taken only if it starts at the offset that is expected next; a jump is read again
  and believed only when the broker repeats it (compaction and transaction markers leave holes);
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


def cut_into_runs(records: Sequence[SourceRecord]) -> Iterator[tuple[Sequence[SourceRecord], int]]:
    """Records in runs of at most so many, and of at most so many bytes where they are more than one.

    Each with about how much memory it takes, in bytes.
    """
    sizes = [_RECORD_BYTES + len(record.value or b"") for record in records]
    begin = 0
    while begin < len(records):
        end = min(begin + MAX_RUN_RECORDS, len(records))
        run_bytes = sum(sizes[begin:end])
        while run_bytes > MAX_RUN_BYTES and end > begin + 1:
            end -= 1
            run_bytes -= sizes[end]
        yield records[begin:end], run_bytes
        begin = end


@dataclass(slots=True, eq=False)
class Run:
    """Consecutive records of one partition that travel through the worker as one message.

    `taken_s` is when, by a clock that only goes forward; `size_bytes` about how much memory the records take.
    """

    owner: OwnedPartition
    records: Sequence[SourceRecord]
    taken_s: float
    size_bytes: int
    finished: bool = False

    @property
    def end(self) -> int:
        """The offset behind the last record."""
        return self.records[-1].offset + 1


@dataclass(slots=True)
class Admission:
    """What became of fetched records: those to process, and the offset to read again from, if any.

    `is_known` where it is the same hole as before that is read again.
    """

    records: Sequence[SourceRecord] = ()
    reread_from: int | None = None
    is_known: bool = False


def _up_to_the_first_hole(records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
    end = next(n for n in range(1, len(records)) if records[n].offset != records[n - 1].offset + 1)
    return records[:end]


@dataclass(slots=True, eq=False)
class OwnedPartition:
    """A source partition between its assignment and its revocation. `expected` is None until it is open.

    `patience_s` above 0 is for brokers that may show later records before earlier ones: a hole is read again
    until it has been there for so long, also one inside a fetch.
    """

    tp: TopicPartition
    patience_s: float = 0.0
    expected: int | None = None
    committable: int | None = None
    committed: int | None = None
    closed: bool = False
    holes: int = 0
    _jump: tuple[int, int, float] | None = None
    _in_flight: deque[Run] = field(default_factory=deque[Run])

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

    def admit(self, fetched: Sequence[SourceRecord], now_s: float = 0.0) -> Admission:
        """Decide on fetched records (not empty, ascending offsets) at a moment `now_s`."""
        expected = self.expected
        if expected is None or self.closed:
            return Admission()
        if fetched[0].offset < expected:
            fetched = [record for record in fetched if record.offset >= expected]
            if not fetched:
                return Admission()
        if fetched[0].offset > expected:
            known = self._jump is not None and self._jump[0] == expected
            if not self._believed(expected, fetched[0].offset, now_s):
                return Admission(reread_from=expected, is_known=known)
            self.holes += fetched[0].offset - expected
        self._jump = None
        # What one fetch returns was read from the log in one go, so a hole inside is one of the log's own.
        if self.patience_s and fetched[-1].offset - fetched[0].offset >= len(fetched):
            fetched = _up_to_the_first_hole(fetched)
            self.expected = fetched[-1].offset + 1
            return Admission(fetched, reread_from=self.expected)
        self.holes += fetched[-1].offset - fetched[0].offset - len(fetched) + 1
        self.expected = fetched[-1].offset + 1
        return Admission(fetched)

    def _believed(self, expected: int, first: int, now_s: float) -> bool:
        """Whether a jump has been told often enough: twice, and for as long as the patience lasts."""
        if self._jump is None or self._jump[0] != expected or (self._jump[1] != first and not self.patience_s):
            self._jump = (expected, first, now_s)
            return False
        return now_s - self._jump[2] >= self.patience_s

    @property
    def oldest_taken_s(self) -> float | None:
        """When the oldest run that is not finished was taken; None where there is none."""
        return self._in_flight[0].taken_s if self._in_flight else None

    def take(self, records: Sequence[SourceRecord], taken_s: float = 0.0, size_bytes: int = 0) -> Run:
        """Make a run of admitted records and keep it until it is finished."""
        run = Run(self, records, taken_s, size_bytes)
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
