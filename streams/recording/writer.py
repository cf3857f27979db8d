"""Writing a recording: segments first, then the manifest that names them, so that a crash loses no more than a tail."""

from __future__ import annotations

from collections.abc import Mapping

from rules.fold import SourceRecord
from streams.recording.errors import RecordingError
from streams.recording.location import Location
from streams.recording.manifest import MANIFEST, Manifest, TopicEntry, read_manifest, write_manifest
from streams.recording.segment import SegmentBuffer


class RecordingWriter:
    """Adds records to a recording. What is committed is there for good; the rest is as if it had not been.

    Not for two writers at once.
    """

    def __init__(self, location: Location, manifest: Manifest) -> None:
        self._location = location
        self.manifest = manifest
        self._written = manifest
        self._buffers: dict[tuple[str, int], SegmentBuffer] = {}

    @classmethod
    def create(cls, location: str, manifest: Manifest) -> RecordingWriter:
        """Begin a recording where none is. Raises RecordingError."""
        place = Location(location)
        if place.exists(MANIFEST):
            raise RecordingError(f"{place.text}: holds a recording already: name another place")
        write_manifest(place, manifest)
        return cls(place, manifest)

    @classmethod
    def resume(cls, location: str) -> RecordingWriter:
        """Go on with a recording. Raises RecordingError."""
        place = Location(location)
        return cls(place, read_manifest(place))

    @property
    def pending_bytes(self) -> int:
        """How much is in memory, roughly."""
        return sum(buffer.size_bytes for buffer in self._buffers.values())

    @property
    def pending_rows(self) -> int:
        """How many records are in memory."""
        return sum(len(buffer) for buffer in self._buffers.values())

    def add_topics(self, topics: Mapping[str, TopicEntry]) -> None:
        """Record more topics from now on; with the next commit they are in the manifest."""
        self.manifest = self.manifest.model_copy(update={"topics": {**self.manifest.topics, **topics}})

    def position(self, topic: str, partition: int) -> int:
        """The offset that comes next."""
        buffer = self._buffers.get((topic, partition))
        return buffer.end_offset if buffer is not None else self.manifest.end_offset(topic, partition)

    def append(self, topic: str, record: SourceRecord) -> None:
        """Take the next record of a partition. Raises RecordingError for one that is not the next."""
        buffer = self._buffer(topic, record.partition)
        entry = self.manifest.topics[topic]
        if record.offset < buffer.end_offset or (entry.dense and record.offset != buffer.end_offset):
            raise RecordingError(
                f"{self._location.text}: {topic}, partition {record.partition}: offset {record.offset} came where "
                f"{buffer.end_offset} was due: what lies between was deleted before it was recorded, or the "
                "topic was made anew: begin a new recording"
            )
        buffer.append(record)

    def advance(self, topic: str, partition: int, position: int) -> None:
        """Nothing more will come before this offset: what is missing was compacted away."""
        buffer = self._buffer(topic, partition)
        buffer.end_offset = max(buffer.end_offset, position)

    def commit(self) -> int:
        """Write what is in memory; returns the number of records. Raises RecordingError, and nothing was written."""
        written = [buffer.encode() for buffer in self._buffers.values() if len(buffer)]
        for entry, content in written:
            self._location.write(entry.file, content)
        if written or self.manifest != self._written:
            segments = [*self.manifest.segments, *(entry for entry, _ in written)]
            manifest = self.manifest.model_copy(update={"segments": segments})
            write_manifest(self._location, manifest)
            self.manifest = self._written = manifest
        # What was skipped, with no record behind it, is skipped again by whoever goes on.
        self._buffers = {key: buffer for key, buffer in self._buffers.items() if not len(buffer)}
        return sum(entry.rows for entry, _ in written)

    def _buffer(self, topic: str, partition: int) -> SegmentBuffer:
        buffer = self._buffers.get((topic, partition))
        if buffer is None:
            end = self.manifest.end_offset(topic, partition)
            buffer = self._buffers[topic, partition] = SegmentBuffer(topic, partition, end, end)
        return buffer
