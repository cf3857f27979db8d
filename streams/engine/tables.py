"""Faust tables that hold folds: one fold a partition, recovered before the partition is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.table import Table
from faust.types import TP

from rules.fold import Fold
from streams.engine.changelog import NO_FENCE, ChangelogImage


@dataclass(slots=True, eq=False)
class FoldPartition:
    """A fold, the last source offset it has applied, and how far its changelog is written.

    `changelog_end` is the offset behind the last state record known to be in the changelog, None where
    that is not known; `durable_fence` the newest fence acknowledged there.
    """

    fold: Fold
    fence: int = NO_FENCE
    durable_fence: int = NO_FENCE
    changelog_end: int | None = None


class FoldTable(Table[Any, Any]):
    """A table whose state is one fold for each partition of one source topic.

    Faust declares it and names its changelog; recovery and changelog writes are the engine's.
    """

    source_topic: str
    new_fold: Callable[[int], Fold]
    partitions_held: dict[int, FoldPartition]

    def declare(self, source_topic: str, new_fold: Callable[[int], Fold]) -> FoldTable:
        """Say which topic is folded and how an empty fold is made (from its partition number)."""
        self.source_topic = source_topic
        self.new_fold = new_fold
        self.partitions_held = {}
        return self

    def changelog_tp(self, partition: int) -> TopicPartition:
        """The changelog partition beside source partition `partition`."""
        return TopicPartition(self.changelog_topic.get_topic_name(), partition)

    def install(self, partition: int, image: ChangelogImage, changelog_end: int) -> FoldPartition:
        """Build the partition's fold from its changelog and hold it."""
        fold = self.new_fold(partition)
        fold.restore(image.records)
        held = FoldPartition(fold, image.fence, image.fence, changelog_end)
        self.partitions_held[partition] = held
        return held


class FoldTableManager(TableManager):
    """Keeps Faust's own recovery out: the consumer opens a partition only after its fold is restored."""

    async def on_start(self) -> None:
        """Declare the tables registered; there is nothing for Faust to recover."""
        self._tables_finalized.set()
        self._tables_registered.set()

    async def on_stop(self) -> None:
        """Nothing to stop: tables hold no services of their own."""

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Faust's recovery has no part in it."""
