"""What a recording holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pydantic import ValidationError

from models.label import InvalidLabel, decode_label
from streams.recording.manifest import SliceOf
from streams.recording.reader import Recording
from streams.rulesets import InForce
from streams.topics import LABELS, RULESETS


@dataclass(frozen=True)
class TopicInfo:
    """One topic: offsets by partition, and the broker's timestamps of its records, epoch milliseconds."""

    topic: str
    partitions: int
    begin_offsets: list[int]
    end_offsets: list[int]
    records: int
    segments: int
    size_bytes: int
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True)
class VersionInfo:
    """A version of a ruleset that was put into force, with when and by whom."""

    ruleset: str
    version: str
    at_ms: int
    by: str
    note: str


@dataclass(frozen=True)
class RecordingInfo:
    """A recording's contents; `labels` counts them by verdict."""

    ruleset: str
    created_ms: int
    max_ahead_ms: int
    slice_of: SliceOf | None
    topics: list[TopicInfo]
    versions: list[VersionInfo]
    labels: dict[str, int]


def describe(recording: Recording) -> RecordingInfo:
    """What is in a recording; rulesets and labels are read for it. Raises RecordingError."""
    manifest = recording.manifest
    return RecordingInfo(
        manifest.ruleset,
        manifest.created_ms,
        manifest.max_ahead_ms,
        manifest.slice_of,
        [_topic(recording, name) for name in manifest.topics],
        _versions(recording),
        _labels(recording),
    )


def _topic(recording: Recording, name: str) -> TopicInfo:
    manifest = recording.manifest
    entries = [entry for entry in manifest.segments if entry.topic == name]
    begins = manifest.topics[name].begin_offsets
    ends = list(begins)
    for entry in entries:
        ends[entry.partition] = max(ends[entry.partition], entry.end_offset)
    return TopicInfo(
        name,
        len(begins),
        list(begins),
        ends,
        sum(entry.rows for entry in entries),
        len(entries),
        sum(entry.size_bytes for entry in entries),
        min((entry.first_ms for entry in entries), default=None),
        max((entry.last_ms for entry in entries), default=None),
    )


def _versions(recording: Recording) -> list[VersionInfo]:
    """Each ruleset's history, as the last record of it tells, oldest first."""
    pointers: dict[str, InForce] = {}
    for partition in range(recording.partitions(RULESETS)):
        for record in recording.read(RULESETS, partition):
            name = (record.key or b"").decode(errors="replace")
            if "@" in name or record.value is None:
                continue
            try:
                pointers[name] = InForce.model_validate_json(record.value)
            except ValidationError:
                # Workers pass such a record over, too.
                continue
    return [
        VersionInfo(name, entry.version, entry.at_ms, entry.by, entry.note)
        for name, pointer in sorted(pointers.items())
        for entry in pointer.history
    ]


def _labels(recording: Recording) -> dict[str, int]:
    verdicts: Counter[str] = Counter()
    for partition in range(recording.partitions(LABELS)):
        for record in recording.read(LABELS, partition):
            try:
                verdicts[decode_label(record.value or b"").verdict] += 1
            except InvalidLabel:
                verdicts["malformed"] += 1
    return dict(sorted(verdicts.items()))
