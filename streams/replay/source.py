"""One recorded partition through its fold once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rules.desk import Desk
from rules.fold import Fold, Output, StateNotReadyError
from rules.rulesets import Rulesets
from rules.station import Station
from streams.recording.reader import Recording
from streams.replay.beginning import Beginning, beginning_of
from streams.topics import ASSESSMENTS, SIGHTINGS

# The topics that are folded, in the order of the way.
FOLDED: Final = (SIGHTINGS, ASSESSMENTS)
# State records are asked for, as a worker does, so that a fold need not remember what changed.
_RUN_RECORDS: Final = 500


@dataclass
class Source:
    """A partition of sightings or assessments, to be replayed from where it can be.

    `waiting` says, once it was run, which record was left because its ruleset was not recorded, and why.
    """

    recording: Recording
    rulesets: Rulesets
    topic: str
    partition: int
    waiting: str | None = None

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"

    def beginning(self) -> Beginning:
        """Where it begins. Raises RecordingError."""
        return beginning_of(self.recording, self.topic, self.partition)

    def records(self) -> int:
        """How many records there are, those before its beginning included."""
        return sum(entry.rows for entry in self.recording.manifest.segments_of(self.topic, self.partition))

    def run(self, beginning: Beginning) -> Iterator[tuple[int, list[Output]]]:
        """The offset of each record and what the fold makes of it. Raises RecordingError."""
        fold = self._fold()
        fold.restore(beginning.state)
        self.waiting = None
        records = self.recording.read(self.topic, self.partition, beginning.offset)
        for number, record in enumerate(records, start=1):
            try:
                outputs = [*fold.apply(record), *fold.flush()]
            except StateNotReadyError as missing:
                self.waiting = f"{self}@{record.offset}: {missing}"
                return
            if number % _RUN_RECORDS == 0:
                fold.changes()
            yield record.offset, outputs

    def _fold(self) -> Fold:
        if self.topic == SIGHTINGS:
            return Station(self.rulesets)
        return Desk(self.rulesets, max_ahead_ms=self.recording.manifest.max_ahead_ms)
