"""The whole way of purchases in memory, partitioned by the keys as Kafka's clients do it."""

from __future__ import annotations

from rules import memory_line
from rules.language.compile import CompiledRuleset
from streams.engine.partitioner import partition_for


class MemoryLine(memory_line.MemoryLine):
    """A line with several partitions."""

    def __init__(self, ruleset: CompiledRuleset, partitions: int = 4) -> None:
        super().__init__(ruleset, partitions, partition_for)
