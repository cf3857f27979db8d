"""Purchases of all partitions in canonical order: event time, partition, offset; few segments in memory at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from rules.columns.table import NEVER_MS
from streams.recording.manifest import SegmentEntry
from streams.recording.reader import Recording
from streams.timeline.batch import Batch
from streams.timeline.decode import Refused, decode_batch, earliest_ms
from streams.topics import PURCHASES


class SegmentFronts:
    """The smallest event time of each purchases segment, found by reading the recording once.

    The manifest can't tell it: an event may be as much older than its record as it likes.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._fronts: list[tuple[int, SegmentEntry]] | None = None

    def in_order(self) -> list[tuple[int, SegmentEntry]]:
        """All segments with records, the earliest first, each with its smallest event time. Raises RecordingError."""
        if self._fronts is None:
            self._fronts = self._found()
        return self._fronts

    def _found(self) -> list[tuple[int, SegmentEntry]]:
        by_partition = [
            [entry for entry in self._recording.manifest.segments_of(PURCHASES, partition) if entry.rows]
            for partition in range(self._recording.partitions(PURCHASES))
        ]
        entries = [entry for segments in by_partition for entry in segments]
        if all(len(segments) <= 1 for segments in by_partition):
            # All are in memory at the start anyhow.
            return [(0, entry) for entry in entries]
        fronts = [earliest_ms(self._recording.table(entry)) for entry in entries]
        pairs = [(NEVER_MS if front is None else front, entry) for front, entry in zip(fronts, entries, strict=True)]
        return sorted(pairs, key=lambda pair: (pair[0], pair[1].partition, pair[1].begin_offset))


class PurchaseMerge:
    """One pass over a recording's purchases.

    `refused` is complete when the pass is. `rows_held_max` is how many purchases were in memory at most.
    """

    def __init__(self, recording: Recording, fronts: SegmentFronts, block_rows: int) -> None:
        self._recording = recording
        self._fronts = fronts
        self._block_rows = block_rows
        self._held: list[Batch] = []
        self.refused = Refused()
        self.rows_held_max = 0

    def batches(self) -> Iterator[Batch]:
        """Batches in canonical order, of `block_rows` at most. Raises RecordingError."""
        waiting = list(reversed(self._fronts.in_order()))
        while waiting or self._held:
            # What is before the earliest of the segments that wait is complete.
            front_ms = waiting[-1][0] if waiting else NEVER_MS
            ready = sum(_rows_before(batch, front_ms) for batch in self._held)
            if waiting and ready < self._block_rows:
                self._load(waiting.pop()[1])
                continue
            yield from self._released(front_ms)

    def _load(self, entry: SegmentEntry) -> None:
        table = self._recording.table(entry)
        batch = decode_batch(table, self._recording.manifest.max_ahead_ms, self.refused)
        if len(batch):
            self._held.append(_in_order(batch))
        self.rows_held_max = max(self.rows_held_max, sum(map(len, self._held)))

    def _released(self, front_ms: int) -> Iterator[Batch]:
        """What is before a moment, taken out of memory."""
        pieces: list[Batch] = []
        rest: list[Batch] = []
        for batch in self._held:
            end = _rows_before(batch, front_ms)
            if end:
                pieces.append(batch.cut(0, end))
            if end < len(batch):
                rest.append(batch.cut(end, len(batch)))
        self._held = rest
        merged = _in_order(Batch.concat(pieces))
        del pieces
        count = -(-len(merged) // self._block_rows)
        bounds = [len(merged) * number // count for number in range(count + 1)]
        for begin, end in itertools.pairwise(bounds):
            yield merged.cut(begin, end)


def _rows_before(batch: Batch, front_ms: int) -> int:
    return int(np.searchsorted(batch.event_time_ms, front_ms))


def _in_order(batch: Batch) -> Batch:
    order = np.lexsort((batch.offset, batch.partition, batch.event_time_ms))
    if np.array_equal(order, np.arange(len(order))):
        return batch
    return batch.take(order)
