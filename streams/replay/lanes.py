"""Lanes: the partitions of the topics that folds write to, each under a number."""

from __future__ import annotations

from typing import Final

from rules.fold import Output
from streams.engine.partitioner import partition_for
from streams.recording.reader import Recording
from streams.recording.recorded import FROM_DESKS
from streams.topics import ASSESSMENTS, DEAD_LETTERS, SIGHTINGS

# What folds write; `decisions.blocked`, `.flagged` and `replies` hold copies, and are not recorded.
WRITTEN: Final = (*FROM_DESKS, DEAD_LETTERS, SIGHTINGS, ASSESSMENTS)


class Lanes:
    """The lanes of a recording."""

    def __init__(self, recording: Recording) -> None:
        self._manifest = recording.manifest
        self._first: dict[str, int] = {}
        self._partitions: dict[str, int] = {}
        self._topics: list[str] = []
        for topic in WRITTEN:
            self._first[topic] = len(self._topics)
            self._partitions[topic] = recording.partitions(topic)
            self._topics += [topic] * recording.partitions(topic)

    def is_written(self, topic: str) -> bool:
        """Whether what folds write to this topic is compared: it is recorded."""
        return self._partitions.get(topic, 0) > 0

    def lane(self, topic: str, partition: int) -> int:
        """The number of a partition."""
        return self._first[topic] + partition

    def lane_for(self, output: Output) -> int:
        """The lane that a worker writes this to."""
        partitions, partition = self._partitions[output.topic], output.partition
        if partition is None:
            partition = partition_for(output.key, partitions) if output.key is not None else 0
        return self.lane(output.topic, partition % partitions)

    def topic_of(self, lane: int) -> str:
        """The topic of a lane."""
        return self._topics[lane]

    def partition_of(self, lane: int) -> int:
        """The partition of a lane."""
        return lane - self._first[self._topics[lane]]

    def begins_late(self, lane: int) -> bool:
        """Whether the lane held records before those that were recorded."""
        return self._manifest.begin_offset(self.topic_of(lane), self.partition_of(lane)) > 0

    def any_begins_late(self) -> bool:
        """Whether one of the lanes does."""
        return any(self.begins_late(lane) for lane in range(len(self._topics)))
