"""Writing a recording: segments first, then the manifest that names them, so that a crash loses no more than a tail."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rules.fold import SourceRecord
from streams.recording.errors import RecordingError
from streams.recording.location import PARTIAL, Location
from streams.recording.lock import locked
from streams.recording.manifest import MANIFEST, Manifest, SegmentEntry, TopicEntry, read_manifest, write_manifest
from streams.recording.segment import SegmentBuffer, is_segment_file


class RecordingWriter:
    """Adds records to a recording. What is committed is there for good; the rest is as if it had not been.

    Not for two writers at once: see `streams.recording.lock`.
    """

    def __init__(self, location: Location, manifest: Manifest, *, is_new: bool) -> None:
        self._location = location
        self.manifest = manifest
        self._committed = None if is_new else manifest
        self._buffers: dict[tuple[str, int], SegmentBuffer] = {}
        self._ends = _ends_of(manifest)
        # Segments that are written and that no manifest names yet.
        self._unnamed: list[SegmentEntry] = []

    @classmethod
    def create(cls, location: str | Location, manifest: Manifest) -> RecordingWriter:
        """Begin a recording where none is; it is there from the first commit on. Raises RecordingError."""
        place = Location(location) if isinstance(location, str) else location
        if place.exists(MANIFEST):
            raise RecordingError(f"{place.text}: holds a recording already: name another place")
        _delete_strays(place, manifest)
        return cls(place, manifest, is_new=True)

    @classmethod
    def resume(cls, location: str | Location) -> RecordingWriter:
        """Go on with a recording; files that no manifest names are deleted. Raises RecordingError."""
        place = Location(location) if isinstance(location, str) else location
        manifest = read_manifest(place)
        _delete_strays(place, manifest)
        return cls(place, manifest, is_new=False)

    @property
    def pending_bytes(self) -> int:
        """How much is in memory, roughly."""
        return sum(buffer.size_bytes for buffer in self._buffers.values())

    @property
    def pending_rows(self) -> int:
        """How many records are in memory."""
        return sum(len(buffer) for buffer in self._buffers.values())

    def add_topics(self, topics: Mapping[str, TopicEntry]) -> None:
        """Record more topics, or partitions, from now on; with the next commit they are in the manifest."""
        self.manifest = self.manifest.model_copy(update={"topics": {**self.manifest.topics, **topics}})

    def allow_holes(self, topic: str) -> None:
        """Take it that offsets of a topic may be missing; with the next commit the manifest says so."""
        entry = self.manifest.topics[topic]
        if entry.dense:
            self.add_topics({topic: entry.model_copy(update={"dense": False})})

    def position(self, topic: str, partition: int) -> int:
        """The offset that comes next."""
        buffer = self._buffers.get((topic, partition))
        return buffer.end_offset if buffer is not None else self._end(topic, partition)

    def append(self, topic: str, record: SourceRecord) -> None:
        """Take the next record of a partition. Raises RecordingError for one that is not the next."""
        buffer = self._buffers.get((topic, record.partition)) or self._buffer(topic, record.partition)
        due = buffer.end_offset
        if record.offset != due and (record.offset < due or self.manifest.topics[topic].dense):
            raise RecordingError(
                f"{self._location.text}: {topic}, partition {record.partition}: offset {record.offset} came where "
                f"{due} was due: what lies between was deleted before it was recorded, or the topic was made anew: "
                "what is recorded stays; begin a new recording"
            )
        buffer.append(record)

    def advance(self, topic: str, partition: int, position: int) -> None:
        """Nothing more will come before this offset: what is missing was compacted away, or is left out."""
        buffer = self._buffer(topic, partition)
        buffer.end_offset = max(buffer.end_offset, position)

    def flush(self) -> int:
        """Write what is in memory, for the next commit to name; returns the number of records.

        Raises RecordingError.
        """
        rows = 0
        for key, buffer in list(self._buffers.items()):
            # What was skipped, with no record behind it, is skipped again by whoever goes on.
            if len(buffer):
                entry, content = buffer.encode()
                self._location.write(entry.file, content)
                self._unnamed.append(entry)
                self._ends[key] = entry.end_offset
                del self._buffers[key]
                rows += entry.rows
        return rows

    def commit(self) -> int:
        """Write what is in memory, and the manifest; returns the number of records that this wrote.

        Raises RecordingError, and then the recording is as it was after the last commit.
        """
        rows = self.flush()
        if self._unnamed or self.manifest != self._committed:
            segments = [*self.manifest.segments, *self._unnamed]
            manifest = self.manifest.model_copy(update={"segments": segments})
            write_manifest(self._location, manifest)
            self.manifest = self._committed = manifest
            self._unnamed = []
        return rows

    def discard(self) -> None:
        """Forget what is in memory, and delete what no manifest names. Raises RecordingError."""
        self._buffers.clear()
        self._unnamed.clear()
        self._ends = _ends_of(self.manifest)
        _delete_strays(self._location, self.manifest)

    def _buffer(self, topic: str, partition: int) -> SegmentBuffer:
        buffer = self._buffers.get((topic, partition))
        if buffer is None:
            end = self._end(topic, partition)
            buffer = self._buffers[topic, partition] = SegmentBuffer(topic, partition, end, end)
        return buffer

    def _end(self, topic: str, partition: int) -> int:
        end = self._ends.get((topic, partition))
        return end if end is not None else self.manifest.begin_offset(topic, partition)


@contextmanager
def new_recording(location: str, manifest: Manifest) -> Generator[RecordingWriter]:
    """A recording that is committed on leaving, or not there at all where anything is raised.

    Raises RecordingError where there is one already, or where nothing can be written.
    """
    place = Location(location)
    with locked(place):
        writer = RecordingWriter.create(place, manifest)
        try:
            yield writer
            writer.commit()
        except BaseException:
            writer.discard()
            raise


def _ends_of(manifest: Manifest) -> dict[tuple[str, int], int]:
    ends: dict[tuple[str, int], int] = {}
    for entry in manifest.segments:
        key = entry.topic, entry.partition
        ends[key] = max(ends.get(key, 0), entry.end_offset)
    return ends


def _delete_strays(location: Location, manifest: Manifest) -> None:
    """Delete what a writer that was killed left: segments that no manifest names, and files that are not whole."""
    named = {entry.file for entry in manifest.segments}
    for file in location.files():
        if (is_segment_file(file) and file not in named) or file == MANIFEST + PARTIAL:
            location.delete(file)
