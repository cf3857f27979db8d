"""Small recordings for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rules.fold import Record
from streams.recording.manifest import Manifest, TopicEntry
from streams.recording.reader import Recording
from streams.recording.writer import RecordingWriter

MAX_AHEAD_MS = 300_000


class Sent(NamedTuple):
    """One record, on its way into a recording."""

    topic: str
    partition: int
    timestamp_ms: int
    value: bytes | None


def record(
    directory: Path, sent: Sequence[Sent], partitions: Mapping[str, int], commit_after: Sequence[int] = ()
) -> Recording:
    """Record what was sent, in this order; a segment of each partition ends after each of these numbers of records."""
    topics = {topic: TopicEntry(begin_offsets=[0] * count, dense=True) for topic, count in partitions.items()}
    manifest = Manifest(created_ms=0, ruleset="default", max_ahead_ms=MAX_AHEAD_MS, topics=topics)
    writer = RecordingWriter.create(str(directory), manifest)
    for number, (topic, partition, timestamp_ms, value) in enumerate(sent, start=1):
        offset = writer.position(topic, partition)
        writer.append(topic, Record(offset, timestamp_ms, None, value, (), partition))
        if number in commit_after:
            writer.commit()
    writer.commit()
    return Recording.open(str(directory))
