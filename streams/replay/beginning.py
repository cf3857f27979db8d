"""Where the replay of a partition begins: with a fold that knows nothing, or with one read back from recorded state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streams.engine.changelog import NO_FENCE, ChangelogCorruptError, ChangelogImage, fence_of
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.topics import STATE_OF


class Beginning(NamedTuple):
    """State records to restore a fold from, and the first source offset that it has not applied."""

    state: Mapping[bytes, bytes]
    offset: int


def beginning_of(recording: Recording, source: str, partition: int) -> Beginning:
    """The earliest state that a partition of `source` can be replayed from.

    Raises RecordingError where there is none.
    """
    begin = recording.manifest.begin_offset(source, partition)
    if recording.manifest.end_offset(source, partition) == begin:
        return Beginning({}, begin)
    image = _image_from(recording, source, partition, begin)
    if image.fence + 1 < begin:
        raise RecordingError(
            f"{recording.name}: {source}, partition {partition} is recorded from offset {begin} on, and the state "
            f"beside it reaches offset {image.fence} only: what lies between is unknown. Record longer, or begin anew"
        )
    return Beginning(image.records, image.fence + 1)


def _image_from(recording: Recording, source: str, partition: int, begin: int) -> ChangelogImage:
    """The first image that is whole and covers all of the source before `begin`, or else the last."""
    changelog, image = STATE_OF[source], ChangelogImage()
    entry = recording.manifest.topics.get(changelog)
    if entry is None:
        return image
    whole_at = entry.state_offsets[partition] if entry.state_offsets is not None else 0
    end = recording.manifest.end_offset(changelog, partition)
    if end < whole_at:
        raise RecordingError(
            f"{recording.name}: {changelog}, partition {partition} is recorded up to offset {end} and is whole at "
            f"{whole_at} only: go on with `stopbank record`"
        )
    last_fence, position = NO_FENCE, 0
    for record in recording.read(changelog, partition):
        try:
            fence = fence_of(record)
            # All state records of a run carry one fence: where it changes, a run's state is whole.
            if record.offset >= whole_at and fence != last_fence:
                if image.fence + 1 >= begin:
                    return image
                _verify_kept(recording, changelog, partition, max(position, whole_at), record.offset)
            image.apply([record])
        except ChangelogCorruptError as error:
            raise RecordingError(f"{recording.name}: {changelog}, partition {partition}: {error}") from None
        last_fence, position = fence, record.offset + 1
    return image


def _verify_kept(recording: Recording, changelog: str, partition: int, due: int, offset: int) -> None:
    """Raises RecordingError where records were compacted away that a later state would need."""
    if offset > due:
        raise RecordingError(
            f"{recording.name}: {changelog}, partition {partition}: offsets {due} to {offset - 1} were compacted away "
            "before they were recorded, and no state before them can be used: begin a new recording"
        )
