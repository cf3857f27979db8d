"""Reading a recording: partition by partition, a segment in memory at a time, each checked as it is read."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from rules.fold import Record
from streams.recording.errors import RecordingError
from streams.recording.location import Location
from streams.recording.manifest import Manifest, SegmentEntry, read_manifest
from streams.recording.segment import decode_segment, records_of


class Recording:
    """A recording that is there to be read. Every method raises RecordingError for what is damaged or missing."""

    def __init__(self, location: Location, manifest: Manifest) -> None:
        self.location = location
        self.manifest = manifest

    @classmethod
    def open(cls, location: str) -> Recording:
        """Open a recording by its path or URI. Raises RecordingError."""
        place = Location(location)
        return cls(place, read_manifest(place))

    @property
    def name(self) -> str:
        """Where it lies, as it was named."""
        return self.location.text

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where it was not recorded."""
        entry = self.manifest.topics.get(topic)
        return entry.partitions if entry is not None else 0

    def require(self, *topics: str) -> None:
        """Raises RecordingError where one of these topics was not recorded."""
        absent = [topic for topic in dict.fromkeys(topics) if topic not in self.manifest.topics]
        if absent:
            raise RecordingError(f"{self.name}: not recorded: {', '.join(absent)}. `stopbank record` takes all topics")

    def table(self, entry: SegmentEntry) -> pa.Table:
        """One segment's table (see `streams.recording.segment.SCHEMA`)."""
        raw = self.location.read(entry.file)
        return decode_segment(raw, entry, self.location.of(entry.file), dense=self.manifest.topics[entry.topic].dense)

    def tables(self, topic: str, partition: int) -> Iterator[pa.Table]:
        """The tables of a partition, in order of their offsets."""
        for entry in self.manifest.segments_of(topic, partition):
            yield self.table(entry)

    def last(self, topic: str, partition: int) -> Record | None:
        """The last record of a partition; None where nothing was recorded of it."""
        segments = self.manifest.segments_of(topic, partition)
        return next(iter(records_of(self.table(segments[-1])[-1:])), None) if segments else None

    def read(self, topic: str, partition: int, begin_offset: int = 0) -> Iterator[Record]:
        """The records of a partition from an offset on, in order of their offsets."""
        for entry in self.manifest.segments_of(topic, partition):
            if entry.end_offset <= begin_offset:
                continue
            for record in records_of(self.table(entry)):
                if record.offset >= begin_offset:
                    yield record
