"""Reading a whole recording once, to know that it is what its manifest says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from streams.recording.errors import RecordingError
from streams.recording.lock import LOCK
from streams.recording.manifest import MANIFEST
from streams.recording.reader import Recording


@dataclass
class Verdict:
    """What was read and found right, each damage with its place, and files that no manifest names."""

    segments: int = 0
    records: int = 0
    size_bytes: int = 0
    damages: list[str] = field(default_factory=list[str])
    strays: list[str] = field(default_factory=list[str])


def verify(recording: Recording, on_rows: Callable[[int], object] = lambda _: None) -> Verdict:
    """Read every segment: its checksum, its columns, its offsets. `on_rows` hears of each, by its records.

    That the segments follow on each other was verified when the recording was opened. Raises RecordingError where
    the place can't be listed.
    """
    verdict = Verdict()
    known = {MANIFEST, LOCK, *(entry.file for entry in recording.manifest.segments)}
    verdict.strays = [file for file in recording.location.files() if file not in known]
    for entry in recording.manifest.segments:
        try:
            recording.table(entry)
        except RecordingError as error:
            verdict.damages.append(str(error))
        else:
            verdict.segments += 1
            verdict.records += entry.rows
            verdict.size_bytes += entry.size_bytes
        on_rows(entry.rows)
    return verdict
