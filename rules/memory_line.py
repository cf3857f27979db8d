"""The whole way of purchases in memory: every step's folds, partitioned as on Kafka, without Kafka."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from rules.desk import Desk
from rules.fold import Fold, Headers, Output, Record, StateNotReadyError
from rules.language.compile import CompiledRuleset
from rules.router import KINDS, Router
from rules.rulesets import reference_of
from rules.station import Station
from rules.step import ASSESSMENTS, SIGHTINGS

Partitioner = Callable[[bytes, int], int]


def _only_partition(key: bytes, partitions: int) -> int:
    return 0


@dataclass
class FixedRulesets:
    """Rulesets that are simply there."""

    known: dict[str, CompiledRuleset] = field(default_factory=dict[str, CompiledRuleset])
    current: CompiledRuleset | None = None

    def use(self, ruleset: CompiledRuleset) -> None:
        """Put a ruleset into force."""
        self.known[reference_of(ruleset)] = ruleset
        self.current = ruleset

    def in_force(self) -> CompiledRuleset:
        """The ruleset that was put into force last. Raises StateNotReadyError before the first."""
        if self.current is None:
            raise StateNotReadyError("no ruleset")
        return self.current

    def get(self, reference: str) -> CompiledRuleset:
        """A ruleset by its reference. Raises StateNotReadyError where it is not known."""
        if reference not in self.known:
            raise StateNotReadyError(reference)
        return self.known[reference]


class MemoryLine:
    """Topics as lists of records, folds as on Kafka; `send` runs everything that follows from a record.

    `partition_for` tells the partition of a key among so many; by default there is one partition.
    """

    def __init__(
        self, ruleset: CompiledRuleset, partitions: int = 1, partition_for: Partitioner = _only_partition
    ) -> None:
        self.rulesets = FixedRulesets()
        self.rulesets.use(ruleset)
        self.partitions = partitions
        self.topics: defaultdict[str, list[list[Record]]] = defaultdict(lambda: [[] for _ in range(partitions)])
        self.written: defaultdict[str, list[Output]] = defaultdict(list)
        self.state: dict[tuple[str, int], dict[bytes, bytes]] = defaultdict(dict)
        self.state_bytes = 0
        self._partition_for = partition_for
        self._new_folds: dict[str, Callable[[], Fold]] = {
            **{topic: partial(Router, topic, self.rulesets, self.partition_of) for topic in KINDS},
            SIGHTINGS: lambda: Station(self.rulesets),
            ASSESSMENTS: lambda: Desk(self.rulesets),
        }
        self.folds = {(topic, p): new() for topic, new in self._new_folds.items() for p in range(partitions)}

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int, headers: Headers = ()
    ) -> None:
        """Write a record to a topic and work until nothing is left."""
        self.send_run([Output(topic, key, value, headers, timestamp_ms)])

    def send_run(self, run: Sequence[Output]) -> None:
        """Write records that are read in one run, and work until nothing is left."""
        timestamp_ms = run[0].timestamp_ms or 0
        waiting = [run]
        while waiting:
            outputs: list[Output] = []
            taken: dict[tuple[str, int], Fold] = {}
            for output in waiting.pop(0):
                outputs += self._take(output, timestamp_ms, taken)
            for (topic, partition), fold in taken.items():
                outputs += fold.flush()
                self._keep(topic, partition, fold.changes())
            if outputs:
                waiting.append(outputs)

    def crash(self, topic: str, partition: int) -> None:
        """Throw a fold away and read it back from its state records."""
        fold = self._new_folds[topic]()
        fold.restore(self.state[topic, partition])
        self.folds[topic, partition] = fold

    def _take(self, output: Output, timestamp_ms: int, taken: dict[tuple[str, int], Fold]) -> Sequence[Output]:
        topic, key, value, headers, at_ms, partition = output
        self.written[topic].append(output)
        if partition is None:
            partition = self.partition_of(key) if key is not None else 0
        partition %= self.partitions
        records = self.topics[topic][partition]
        records.append(Record(len(records), at_ms or timestamp_ms, key, value, headers, partition))
        fold = self.folds.get((topic, partition))
        if fold is None:
            return ()
        taken[topic, partition] = fold
        return fold.apply(records[-1])

    def partition_of(self, key: bytes) -> int:
        """The partition in which records with a key lie."""
        return self._partition_for(key, self.partitions)

    def _keep(self, topic: str, partition: int, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        state = self.state[topic, partition]
        for key, value in changes:
            self.state_bytes += len(key) + len(value or b"")
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
