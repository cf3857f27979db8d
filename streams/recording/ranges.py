"""Which offsets a slice by time takes, so that it can still be replayed.

A slice begins with the state before the first assessment (and sighting) of `from_ms` or later: of the changelog the
latest record of each key, before the first record whose fence has seen that assessment. The source follows from
behind that state's fence, a few records before the time, and ends before the first record of `until_ms` or later.
Decisions on what is in it, and what else desks write, may have been written later than that: they go on until the
state knew of the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from rules.fold import Record
from streams import topics
from streams.engine.changelog import NO_FENCE, ChangelogCorruptError, fence_of
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.recording.recorded import FROM_DESKS

# How far the clocks of workers may lie apart.
_CLOCKS_MS: Final = 60_000
# Whether a slice leaves out what is before its time, and what is after. Limits that accounts were given before
# still hold, and labels come weeks after their purchases.
_CUT: Final = {
    topics.PURCHASES: (True, True),
    topics.REPAYMENTS: (True, True),
    topics.ACCOUNTS: (False, True),
    topics.LABELS: (True, False),
    topics.SETTLEMENTS: (True, True),
    topics.DEGRADED: (True, True),
}


@dataclass(frozen=True)
class Range:
    """Of a partition, the offsets from `begin` on and before `end`; of these only `kept`, where that is given."""

    begin: int
    end: int
    kept: frozenset[int] | None = None

    def takes(self, offset: int) -> bool:
        """Whether an offset is in it."""
        return self.begin <= offset < self.end and (self.kept is None or offset in self.kept)


Ranges = dict[str, list[Range]]


class _State(NamedTuple):
    """The state that a partition begins with, and the last source offset that it has seen."""

    changelog: Range
    fence: int


def plain_ranges(recording: Recording, names: Iterable[str], from_ms: int | None, until_ms: int | None) -> Ranges:
    """For each of these topics, the range of each partition by its own timestamps. Raises RecordingError."""
    ranges: Ranges = {}
    for name in names:
        cut_head, cut_tail = _CUT.get(name, (False, False))
        ranges[name] = [
            Range(
                _first_at(recording, name, partition, from_ms if cut_head else None),
                _end_at(recording, name, partition, until_ms if cut_tail else None),
            )
            for partition in range(recording.partitions(name))
        ]
    return ranges


def replayable_ranges(recording: Recording, from_ms: int | None, until_ms: int | None) -> Ranges:
    """For each recorded topic, the range of each partition. Raises RecordingError."""
    by_state = (*topics.STATE_OF, *topics.STATE_OF.values(), *FROM_DESKS)
    plain = [name for name in recording.manifest.topics if name not in by_state]
    ranges = plain_ranges(recording, plain, from_ms, until_ms)
    for source, changelog in topics.STATE_OF.items():
        if {source, changelog} <= recording.manifest.topics.keys():
            states = [_state_before(recording, source, p, from_ms) for p in range(recording.partitions(source))]
            ranges[changelog] = [state.changelog for state in states]
            ranges[source] = [_behind(recording, source, p, state, until_ms) for p, state in enumerate(states)]
    begin_ms, end_ms = _written(recording, ranges.get(topics.ASSESSMENTS, ()), from_ms)
    for topic in FROM_DESKS:
        parts = [_between(recording, topic, p, begin_ms, end_ms) for p in range(recording.partitions(topic))]
        if parts:
            ranges[topic] = parts
    return ranges


def _first_at(recording: Recording, topic: str, partition: int, at_ms: int | None) -> int:
    """The first offset with a timestamp of `at_ms` or later, the end where there is none; None is the beginning."""
    manifest = recording.manifest
    if at_ms is None:
        return manifest.begin_offset(topic, partition)
    for entry in manifest.segments_of(topic, partition):
        if entry.last_ms >= at_ms:
            table = recording.table(entry)
            late = np.flatnonzero(table.column("timestamp").cast(pa.int64()).to_numpy() >= at_ms)
            return int(table.column("offset").to_numpy()[late[0]])
    return manifest.end_offset(topic, partition)


def _end_at(recording: Recording, topic: str, partition: int, at_ms: int | None) -> int:
    """The same, but None is the end."""
    if at_ms is None:
        return recording.manifest.end_offset(topic, partition)
    return _first_at(recording, topic, partition, at_ms)


def _state_before(recording: Recording, source: str, partition: int, from_ms: int | None) -> _State:
    """The state before the first record of that time; at the earliest the one that the recording begins with."""
    changelog = topics.STATE_OF[source]
    manifest = recording.manifest
    state_offsets = manifest.topics[changelog].state_offsets
    # Less than this does not add up to a state.
    least = state_offsets[partition] if state_offsets is not None else manifest.begin_offset(changelog, partition)
    first = _first_at(recording, source, partition, from_ms)
    end, newest = least, NO_FENCE
    winners: dict[bytes, tuple[int, int]] = {}
    for fence, record in _fenced(recording, changelog, partition):
        if record.offset >= least and fence >= first:
            break
        if fence >= winners.get(record.key or b"", (NO_FENCE, 0))[0]:
            winners[record.key or b""] = fence, record.offset
        end, newest = max(end, record.offset + 1), max(newest, fence)
    kept = frozenset(offset for _, offset in winners.values())
    return _State(Range(manifest.begin_offset(changelog, partition), end, kept), newest)


def _behind(recording: Recording, source: str, partition: int, state: _State, until_ms: int | None) -> Range:
    begin = max(state.fence + 1, recording.manifest.begin_offset(source, partition))
    return Range(begin, max(begin, _end_at(recording, source, partition, until_ms)))


def _written(recording: Recording, assessed: Sequence[Range], from_ms: int | None) -> tuple[int | None, int | None]:
    """When desks wrote of the assessments in a slice, from and until; None is the beginning, or the end.

    It is a little too long at both ends: what they wrote lies in other partitions, and is found by time.
    """
    mine = [(partition, part) for partition, part in enumerate(assessed) if part.begin < part.end]
    begin_ms, end_ms = None, None
    if from_ms is not None:
        firsts = [_timestamp_at(recording, partition, part.begin) for partition, part in mine]
        begin_ms = max(0, min(firsts, default=from_ms) - _CLOCKS_MS)
    known = [_known_ms(recording, partition, part.end - 1) for partition, part in mine]
    if all(at_ms is not None for at_ms in known):
        end_ms = max((at_ms or 0 for at_ms in known), default=0) + _CLOCKS_MS
    return begin_ms, end_ms


def _between(recording: Recording, topic: str, partition: int, begin_ms: int | None, end_ms: int | None) -> Range:
    begin = _first_at(recording, topic, partition, begin_ms)
    return Range(begin, max(begin, _end_at(recording, topic, partition, end_ms)))


def _timestamp_at(recording: Recording, partition: int, offset: int) -> int:
    return next(recording.read(topics.ASSESSMENTS, partition, offset)).timestamp


def _known_ms(recording: Recording, partition: int, offset: int) -> int | None:
    """When the state had seen an assessment, whose decision was written before; None where it is not recorded."""
    changelog = topics.ASSESSMENTS_STATE
    # Written later than the assessment, but for the clocks of workers.
    since_ms = max(0, _timestamp_at(recording, partition, offset) - _CLOCKS_MS)
    begin = _first_at(recording, changelog, partition, since_ms)
    for fence, record in _fenced(recording, changelog, partition, begin):
        if fence >= offset:
            return record.timestamp
    return None


def _fenced(
    recording: Recording, changelog: str, partition: int, begin_offset: int = 0
) -> Iterator[tuple[int, Record]]:
    """The records of a changelog with their fences. Raises RecordingError."""
    for record in recording.read(changelog, partition, begin_offset):
        try:
            yield fence_of(record), record
        except ChangelogCorruptError as error:
            raise RecordingError(f"{recording.name}: {changelog}, partition {partition}: {error}") from None
