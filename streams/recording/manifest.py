"""The manifest of a recording: which topics, which offsets, in which segments, with which checksums."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.problem import first_problem
from streams.recording.errors import RecordingError
from streams.recording.location import Location

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SegmentEntry(_Part):
    """One segment: the records of a partition with begin_offset <= offset < end_offset.

    `first_ms` and `last_ms` are the smallest and the largest of the broker's timestamps, epoch milliseconds.
    """

    file: str
    topic: str
    partition: int
    begin_offset: int
    end_offset: int
    rows: int
    first_ms: int
    last_ms: int
    size_bytes: int
    sha256: str


class TopicEntry(_Part):
    """A recorded topic, under its name without prefix.

    `begin_offsets` holds for each partition where the recording begins. In a `dense` topic every offset of a
    segment is there; in one that is compacted, or cut out of another recording, offsets may be missing.
    For a changelog `state_offsets` holds for each partition where it ended when its recording began: what was read
    up to there, or beyond, adds up to a state that once was; less does not, because compaction removed what
    was written over later.
    """

    begin_offsets: list[int]
    dense: bool
    state_offsets: list[int] | None = None

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return len(self.begin_offsets)


class SliceOf(_Part):
    """What a slice was cut by: purchases from `from_ms` on and before `until_ms`, of these accounts or entities.

    None and empty mean that nothing was cut by that.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    accounts: list[str] = []
    entities: list[str] = []

    @property
    def is_whole(self) -> bool:
        """Whether all accounts and entities are in it."""
        return not self.accounts and not self.entities


class Manifest(_Part):
    """A recording's table of contents.

    `ruleset` is the id of the ruleset that decided (STOPBANK_RULESET), `max_ahead_ms` how far a purchase might
    lie after the broker's clock (STOPBANK_MAX_AHEAD_S): both were settings of those who recorded.
    """

    format: int = FORMAT
    created_ms: int
    ruleset: str
    max_ahead_ms: int
    topics: dict[str, TopicEntry]
    segments: list[SegmentEntry] = []
    slice_of: SliceOf | None = None

    def segments_of(self, topic: str, partition: int) -> list[SegmentEntry]:
        """The segments of a partition, in order of their offsets."""
        mine = [entry for entry in self.segments if entry.topic == topic and entry.partition == partition]
        return sorted(mine, key=lambda entry: entry.begin_offset)

    def begin_offset(self, topic: str, partition: int) -> int:
        """Where the recording of a partition begins."""
        return self.topics[topic].begin_offsets[partition]

    def end_offset(self, topic: str, partition: int) -> int:
        """Behind the last recorded offset of a partition."""
        segments = self.segments_of(topic, partition)
        return segments[-1].end_offset if segments else self.begin_offset(topic, partition)

    def rows(self, topic: str) -> int:
        """How many records of a topic are there."""
        return sum(entry.rows for entry in self.segments if entry.topic == topic)


class _Sealed(_Part):
    sha256: str
    manifest: dict[str, object]


_sealed = TypeAdapter(_Sealed)
_manifest = TypeAdapter(Manifest)


def write_manifest(location: Location, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before. Raises RecordingError."""
    location.write(MANIFEST, _text(manifest.model_dump()))


def read_manifest(location: Location) -> Manifest:
    """Read and check a manifest. Raises RecordingError."""
    where = location.of(MANIFEST)
    if not location.exists(MANIFEST):
        raise RecordingError(
            f"{where}: no such file: `stopbank record` makes recordings, `stopbank recording import` too"
        )
    raw = location.read(MANIFEST).to_pybytes()
    try:
        sealed = _sealed.validate_json(raw)
        manifest = _manifest.validate_python(sealed.manifest)
    except ValidationError as error:
        raise RecordingError(f"{first_problem(error, where)}: it is damaged, or another program's") from None
    if manifest.format != FORMAT:
        raise RecordingError(f"{where}: format {manifest.format}, and this Stopbank reads {FORMAT}: use one that fits")
    # The whole text, blanks too: no byte may be another.
    if _text(sealed.manifest) != raw:
        raise RecordingError(f"{where}: its checksum does not fit: it was changed by hand, or it is damaged")
    verify_continuity(manifest, where)
    return manifest


def verify_continuity(manifest: Manifest, where: str) -> None:
    """Raises RecordingError, naming the offsets, where a partition's segments leave a gap or overlap."""
    positions = {
        (name, partition): begin
        for name, topic in manifest.topics.items()
        for partition, begin in enumerate(topic.begin_offsets)
    }
    for entry in sorted(manifest.segments, key=lambda entry: entry.begin_offset):
        position = positions.get((entry.topic, entry.partition))
        if position is None:
            raise RecordingError(f"{where}: {entry.file} is of a topic or partition that was not recorded")
        if entry.begin_offset != position:
            what = "a gap" if entry.begin_offset > position else "an overlap"
            first, last = sorted((position, entry.begin_offset))
            raise RecordingError(
                f"{where}: {what} in {entry.topic}, partition {entry.partition}: offsets {first} to {last - 1}, "
                f"before {entry.file}"
            )
        positions[entry.topic, entry.partition] = entry.end_offset


def _text(body: dict[str, object]) -> bytes:
    """The file: a manifest and its checksum."""
    checksum = sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    sealed = {"sha256": checksum, "manifest": body}
    return orjson.dumps(sealed, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
