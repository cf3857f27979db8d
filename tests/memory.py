"""The whole way of purchases in memory: every step's folds, partitioned as on Kafka, without Kafka."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rules.desk import Desk
from rules.fold import Fold, Output, Record, StateNotReadyError
from rules.language.compile import CompiledRuleset
from rules.router import Router
from rules.rulesets import reference_of
from rules.station import Station
from streams.engine.partitioner import partition_for


@dataclass
class FixedRulesets:
    """Rulesets that are simply there."""

    known: dict[str, CompiledRuleset] = field(default_factory=dict[str, CompiledRuleset])
    current: CompiledRuleset | None = None

    def use(self, ruleset: CompiledRuleset) -> None:
        self.known[reference_of(ruleset)] = ruleset
        self.current = ruleset

    def in_force(self) -> CompiledRuleset:
        if self.current is None:
            raise StateNotReadyError("no ruleset")
        return self.current

    def get(self, reference: str) -> CompiledRuleset:
        if reference not in self.known:
            raise StateNotReadyError(reference)
        return self.known[reference]


class MemoryLine:
    """Topics as lists of records, folds as on Kafka; `send` runs everything that follows from a record."""

    def __init__(self, ruleset: CompiledRuleset, partitions: int = 4) -> None:
        self.rulesets = FixedRulesets()
        self.rulesets.use(ruleset)
        self.partitions = partitions
        self.topics: defaultdict[str, list[list[Record]]] = defaultdict(lambda: [[] for _ in range(partitions)])
        self.written: defaultdict[str, list[Output]] = defaultdict(list)
        self.state: dict[tuple[str, int], dict[bytes, bytes]] = defaultdict(dict)
        self.state_bytes = 0
        new_folds: dict[str, Callable[[], Fold]] = {
            "purchases": lambda: Router("purchases", self.rulesets),
            "accounts": lambda: Router("accounts", self.rulesets),
            "repayments": lambda: Router("repayments", self.rulesets),
            "sightings": lambda: Station(self.rulesets),
            "assessments": lambda: Desk(self.rulesets),
        }
        self._new_folds = new_folds
        self.folds = {(topic, p): new() for topic, new in new_folds.items() for p in range(partitions)}

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        """Write a record to a topic and work until nothing is left."""
        waiting = deque([Output(topic, key, value, headers, timestamp_ms)])
        while waiting:
            output = waiting.popleft()
            self.written[output.topic].append(output)
            partition = partition_for(output.key, self.partitions) if output.key is not None else 0
            records = self.topics[output.topic][partition]
            record = Record(
                len(records),
                output.timestamp_ms or timestamp_ms,
                output.key,
                output.value,
                output.headers,
                partition,
            )
            records.append(record)
            fold = self.folds.get((output.topic, partition))
            if fold is not None:
                waiting.extend(fold.apply(record))
                self._keep(output.topic, partition, fold.changes())

    def _keep(self, topic: str, partition: int, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        state = self.state[topic, partition]
        for key, value in changes:
            self.state_bytes += len(key) + len(value or b"")
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value

    def crash(self, topic: str, partition: int) -> None:
        """Throw a fold away and read it back from its state records."""
        fold = self._new_folds[topic]()
        fold.restore(self.state[topic, partition])
        self.folds[topic, partition] = fold
