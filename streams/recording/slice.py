"""Cutting a smaller recording out of a recording."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from streams import topics
from streams.recording.errors import RecordingError
from streams.recording.manifest import Manifest, SegmentEntry, SliceOf, TopicEntry
from streams.recording.ranges import Range, Ranges, plain_ranges, replayable_ranges
from streams.recording.reader import Recording
from streams.recording.segment import records_of
from streams.recording.selection import SELECTED, Selection
from streams.recording.writer import RecordingWriter, new_recording

_WRITE_BYTES: Final = 64 * 1024 * 1024

# Hears how many records are read, and of how many.
OnRows = Callable[[int, int], object]


def _nobody(done: int, total: int) -> None:
    """Nobody wants to hear it."""


def cut(recording: Recording, destination: str, by: SliceOf, on_rows: OnRows = _nobody) -> Manifest:
    """Write a slice, whole or not at all; returns its manifest.

    By time alone it can be replayed: see `streams.recording.ranges`. By accounts or entities it holds their purchases
    and what concerns them, for backtests, and no state. Raises RecordingError, also where there is nothing to cut out.
    """
    selection = None if by.is_whole else Selection(by.accounts, by.entities)
    if selection is None:
        ranges = replayable_ranges(recording, by.from_ms, by.until_ms)
    else:
        _verify_whole(recording)
        names = [name for name in SELECTED if name in recording.manifest.topics]
        ranges = plain_ranges(recording, names, by.from_ms, by.until_ms)
    manifest = Manifest(
        created_ms=int(time.time() * 1000),
        ruleset=recording.manifest.ruleset,
        max_ahead_ms=recording.manifest.max_ahead_ms,
        topics={name: _entry(recording, name, parts, selection) for name, parts in ranges.items()},
        slice_of=_merged(recording.manifest.slice_of, by),
    )
    with new_recording(destination, manifest) as writer:
        rows = _write(recording, writer, ranges, selection, on_rows)
        if not rows[topics.PURCHASES] and not rows[topics.ASSESSMENTS]:
            raise RecordingError(f"{recording.name}: nothing to cut out: it holds no such purchase{_span(recording)}")
    return writer.manifest


def _write(
    recording: Recording, writer: RecordingWriter, ranges: Ranges, selection: Selection | None, on_rows: OnRows
) -> Counter[str]:
    """Copy what the ranges and the selection take, topic by topic; returns the number of records of each."""
    work = [
        (entry, part)
        for name, parts in ranges.items()
        for partition, part in enumerate(parts)
        for entry in recording.manifest.segments_of(name, partition)
        if entry.begin_offset < part.end and entry.end_offset > part.begin
    ]
    rows, done, total = Counter[str](), 0, sum(entry.rows for entry, _ in work)
    for entry, part in work:
        rows[entry.topic] += _copy(recording, writer, entry, part, selection)
        if writer.pending_bytes >= _WRITE_BYTES:
            writer.flush()
        done += entry.rows
        on_rows(done, total)
    return rows


def _entry(recording: Recording, name: str, parts: list[Range], selection: Selection | None) -> TopicEntry:
    return TopicEntry(
        begin_offsets=[part.begin for part in parts],
        dense=recording.manifest.topics[name].dense and selection is None,
        state_offsets=[part.end for part in parts] if name in topics.STATE_OF.values() else None,
    )


def _copy(
    recording: Recording, writer: RecordingWriter, entry: SegmentEntry, part: Range, selection: Selection | None
) -> int:
    before = writer.pending_rows
    for record in records_of(recording.table(entry)):
        if part.takes(record.offset) and (selection is None or selection.takes(entry.topic, record)):
            writer.append(entry.topic, record)
    return writer.pending_rows - before


def _span(recording: Recording) -> str:
    entries = [entry for entry in recording.manifest.segments if entry.topic == topics.PURCHASES]
    if not entries:
        return ""
    first, last = min(entry.first_ms for entry in entries), max(entry.last_ms for entry in entries)
    return f"; its purchases came from {first} to {last} (epoch ms)"


def _verify_whole(recording: Recording) -> None:
    """Raises RecordingError for a slice that knows some accounts only: another cut of it would not say so."""
    before = recording.manifest.slice_of
    if before is not None and not before.is_whole:
        raise RecordingError(f"{recording.name}: holds some accounts only: cut the recording that it was cut out of")


def _merged(before: SliceOf | None, by: SliceOf) -> SliceOf:
    """What a slice of a slice was cut by."""
    if before is None:
        return by
    from_ms = [ms for ms in (before.from_ms, by.from_ms) if ms is not None]
    until_ms = [ms for ms in (before.until_ms, by.until_ms) if ms is not None]
    return SliceOf(
        from_ms=max(from_ms, default=None),
        until_ms=min(until_ms, default=None),
        accounts=by.accounts or before.accounts,
        entities=by.entities or before.entities,
    )
