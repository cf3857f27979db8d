"""A line in memory with its topics and changelogs as on Kafka, its crashes, and recordings of it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import orjson

from rules.desk import Desk
from rules.fold import Fold, Headers, Output, Record
from rules.language.compile import compile_ruleset
from rules.router import Router
from rules.station import Station
from streams.engine.changelog import ChangelogImage, encode_changes
from streams.engine.partitioner import partition_for
from streams.recording.manifest import Manifest, SliceOf, TopicEntry
from streams.recording.reader import Recording
from streams.recording.recorded import COMPACTED, RECORDED
from streams.recording.writer import RecordingWriter
from streams.rulesets import Entry, InForce, Registry, Source
from streams.topics import ASSESSMENTS, INCOMING, REPLIES, RULESETS, SIGHTINGS, STATE_OF

Lane = tuple[str, int]
Offsets = dict[Lane, int]
Topics = Mapping[str, Sequence[Sequence[Record]]]
RUN_RECORDS = 7


class RecordedLine:
    """Stopbank without Kafka: sources are read in runs; a run's state is written some runs after its outputs.

    `counts` gives topics another number of partitions than 3. A crash loses the folds and the state that was not
    written yet, so that outputs are written again.
    """

    def __init__(self, rules: str, counts: Mapping[str, int] | None = None, seed: int = 0) -> None:
        self.counts = dict.fromkeys((*RECORDED, *INCOMING, REPLIES), 3) | dict(counts or {}) | {RULESETS: 1}
        for source, state in STATE_OF.items():
            self.counts[state] = self.counts[source]
        self.topics: dict[str, list[list[Record]]] = {t: [[] for _ in range(n)] for t, n in self.counts.items()}
        self.registry = Registry("checkout", complete=True)
        self.versions: list[str] = []
        self.rng = random.Random(seed)
        self.clock_ms = 0
        # Places of records that routers lose.
        self.lost: set[tuple[str, int, int]] = set()
        self._folds: dict[Lane, Fold] = {}
        self._at: defaultdict[Lane, int] = defaultdict(int)
        self._committed = self._at.copy()
        # State that is still to be written, oldest first: the changelog of each run.
        self._unwritten: defaultdict[Lane, list[list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]]]]
        self._unwritten = defaultdict(list)
        self.sources = [(t, p) for t in (*INCOMING, SIGHTINGS, ASSESSMENTS) for p in range(self.counts[t])]
        self.publish(rules)

    def publish(self, rules: str) -> None:
        compiled = compile_ruleset(rules)
        self.versions.append(compiled.version)
        source, reference = Source(source=rules), f"{compiled.id}@{compiled.version}"
        pointer = InForce(
            version=compiled.version,
            history=[Entry(version=version, at_ms=1, by="a test") for version in self.versions],
        )
        for key, model in ((reference, source), (compiled.id, pointer)):
            value = orjson.dumps(model.model_dump())
            self._append(Output(RULESETS, key.encode(), value))
            self.registry.apply(key.encode(), value)

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int, headers: Headers = ()
    ) -> None:
        """A record comes in; nothing is done about it yet."""
        self.clock_ms = max(self.clock_ms, timestamp_ms)
        self._append(Output(topic, key, value, headers, timestamp_ms))

    def work(self, runs: int | None = None) -> None:
        """Take so many runs from sources at random, or all there are; then all is written and committed."""
        while runs is None or runs > 0:
            ready = [lane for lane in self.sources if self._at[lane] < len(self.topics[lane[0]][lane[1]])]
            if not ready:
                break
            self._run(self.rng.choice(ready))
            runs = runs - 1 if runs is not None else None
        if runs is None:
            for lane in list(self._unwritten):
                self._write_state(lane, leave=0)
            self._committed = self._at.copy()

    def crash(self) -> None:
        """Every fold is read back from its changelog, and sources are read from there again; routers go back, too."""
        for lane in self.sources:
            topic, partition = lane
            self._unwritten[lane].clear()
            self._folds.pop(lane, None)
            if topic in STATE_OF:
                image = ChangelogImage()
                image.apply(self.topics[STATE_OF[topic]][partition])
                self._at[lane] = image.fence + 1
            else:
                self._at[lane] = max(self._committed[lane], self._at[lane] - self.rng.randint(0, 2 * RUN_RECORDS))

    def ends(self) -> Offsets:
        return {(topic, p): len(records) for topic, parts in self.topics.items() for p, records in enumerate(parts)}

    def state_fences(self) -> Offsets:
        """By source partition with state, the source offset that its written state has applied."""
        return {
            (source, p): max((f for record in records for f in _fences(record)), default=-1)
            for source, state in STATE_OF.items()
            for p, records in enumerate(self.topics[state])
        }

    # -- inside -------------------------------------------------------------------------------------

    def _run(self, lane: Lane) -> None:
        topic, partition = lane
        begin = self._at[lane]
        records = self.topics[topic][partition][begin : begin + self.rng.randint(1, RUN_RECORDS)]
        fold = self._fold(lane)
        kept = [record for record in records if (topic, partition, record.offset) not in self.lost]
        outputs = [output for record in kept for output in fold.apply(record)] + list(fold.flush())
        self._at[lane] = begin + len(records)
        for output in outputs:
            self._append(output)
        if topic in STATE_OF:
            changes = encode_changes(fold.changes(), records[-1].offset)
            self._unwritten[lane].append([(change.key, change.value, tuple(change.headers)) for change in changes])
            self._write_state(lane, leave=self.rng.randint(0, 3))

    def _write_state(self, lane: Lane, leave: int) -> None:
        waiting = self._unwritten[lane]
        while len(waiting) > leave:
            changelog = self.topics[STATE_OF[lane[0]]][lane[1]]
            for key, value, headers in waiting.pop(0):
                changelog.append(Record(len(changelog), self.clock_ms, key, value, headers, lane[1]))

    def _fold(self, lane: Lane) -> Fold:
        fold = self._folds.get(lane)
        if fold is None:
            fold = self._folds[lane] = self._new_fold(lane[0])
            if lane[0] in STATE_OF:
                image = ChangelogImage()
                image.apply(self.topics[STATE_OF[lane[0]]][lane[1]])
                fold.restore(image.records)
        return fold

    def _new_fold(self, topic: str) -> Fold:
        new: dict[str, Callable[[], Fold]] = {
            **{each: partial(Router, each, self.registry, self._partition_of) for each in INCOMING},
            SIGHTINGS: lambda: Station(self.registry),
            ASSESSMENTS: lambda: Desk(self.registry),
        }
        return new[topic]()

    def _partition_of(self, key: bytes) -> int:
        return partition_for(key, self.counts[ASSESSMENTS])

    def _append(self, output: Output) -> None:
        parts = self.topics.get(output.topic)
        if parts is None:
            return
        partition = output.partition
        if partition is None:
            partition = partition_for(output.key, len(parts)) if output.key is not None else 0
        partition %= len(parts)
        at_ms = output.timestamp_ms or self.clock_ms
        parts[partition].append(
            Record(len(parts[partition]), at_ms, output.key, output.value, output.headers, partition)
        )


def _fences(record: Record) -> Iterable[int]:
    image = ChangelogImage()
    image.apply([record])
    return [image.fence]


def write_recording(
    folder: Path,
    topics: Topics,
    *,
    begins: Offsets | None = None,
    ends: Offsets | None = None,
    state_offsets: Offsets | None = None,
    slice_of: SliceOf | None = None,
) -> Recording:
    """A recording of these records, from `begins` up to `ends`; both are what is there by default.

    Topics that are never recorded are left out.
    """
    topics = {topic: parts for topic, parts in topics.items() if topic in RECORDED}
    state = state_offsets or {}
    entries = {
        topic: TopicEntry(
            begin_offsets=[(begins or {}).get((topic, p), 0) for p in range(len(parts))],
            dense=topic not in COMPACTED,
            state_offsets=[state.get((topic, p), 0) for p in range(len(parts))] if topic in STATE_OF.values() else None,
        )
        for topic, parts in topics.items()
    }
    manifest = Manifest(created_ms=0, ruleset="checkout", max_ahead_ms=300_000, topics=entries, slice_of=slice_of)
    writer = RecordingWriter.create(str(folder), manifest)
    for topic, parts in topics.items():
        for p, records in enumerate(parts):
            begin = entries[topic].begin_offsets[p]
            end = (ends or {}).get((topic, p))
            for record in records:
                if record.offset >= begin and (end is None or record.offset < end):
                    writer.append(topic, record)
                    if writer.pending_rows >= 500:
                        writer.commit()
    writer.commit()
    return Recording.open(str(folder))


def compacted(records: Sequence[Record], before: int, rng: random.Random) -> list[Record]:
    """Of the records before an offset, those that are the last of their key there, and of the others some."""
    last = {record.key: record.offset for record in records[:before]}
    keep = rng.random()
    return [
        record
        for record in records
        if record.offset >= before or last[record.key] == record.offset or rng.random() < keep
    ]
