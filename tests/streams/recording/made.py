"""Recordings that tests make: of given records, and of a line in memory with its changelogs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from rules.fold import Output, Record
from rules.language.compile import compile_ruleset
from rules.rulesets import reference_of
from streams.engine.changelog import ChangelogImage, encode_changes, fence_of
from streams.recording.manifest import Manifest, TopicEntry
from streams.recording.recorded import RECORDED
from streams.recording.writer import RecordingWriter
from streams.simulate import SimulationConfig, simulate
from streams.topics import DECISIONS, RULESETS, STATE_OF
from tests.memory import MemoryLine

START_MS = 1_772_431_200_000
HOUR_MS = 3_600_000
LATE_MS = 5 * 60_000
RULES = """
ruleset: checkout
currency: CNY
max_rows: 32
rules:
  - {id: burst, when: "count(account_id, 10m) > 2", then: block}
  - {id: device, when: "count(device_id, 1h) > 2", then: flag}
  - {id: shop, when: "sum(amount, merchant_id, 1h) > 3_000.00", then: flag}
  - {id: credit, when: amount > available_credit, then: block, final: true}
"""


def manifest_of(topics: Mapping[str, TopicEntry]) -> Manifest:
    return Manifest(created_ms=START_MS, ruleset="checkout", max_ahead_ms=300_000, topics=dict(topics))


def write(place: Path, records: Mapping[str, Sequence[Record]], *, each: int = 10, partitions: int = 2) -> Manifest:
    """Dense topics from offset 0, a commit after `each` records."""
    entries = {name: TopicEntry(begin_offsets=[0] * partitions, dense=True) for name in records}
    writer = RecordingWriter.create(str(place), manifest_of(entries))
    for name, mine in records.items():
        for number, record in enumerate(mine, 1):
            writer.append(name, record)
            if number % each == 0:
                writer.commit()
    writer.commit()
    return writer.manifest


def some_records(number: int, partitions: int = 2) -> list[Record]:
    """Records of all shapes, spread over partitions."""
    return [
        Record(
            n // partitions,
            START_MS + n * 1_000,
            None if n % 7 == 0 else b"k-%d" % n,
            None if n % 11 == 0 else b'{"n": %d}' % n,
            (("a", b"1"), ("b", b"")) if n % 3 == 0 else (),
            n % partitions,
        )
        for n in range(number)
    ]


class RecordedLine(MemoryLine):
    """A line in memory that writes its changelogs, too."""

    def _keep(self, topic: str, partition: int, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        kept = list(changes)
        super()._keep(topic, partition, kept)
        if topic not in STATE_OF:
            return
        source, changelog = self.topics[topic][partition], self.topics[STATE_OF[topic]][partition]
        for key, value, headers, _ in encode_changes(kept, len(source) - 1):
            changelog.append(Record(len(changelog), source[-1].timestamp, key, value, tuple(headers), partition))


def lived(seed: int, purchases: int) -> RecordedLine:
    """A line that has decided on simulated purchases; the broker stamps each with its event time."""
    ruleset = compile_ruleset(RULES)
    line = RecordedLine(ruleset, partitions=2)
    source = orjson.dumps({"source": RULES})
    entry = {"version": ruleset.version, "at_ms": START_MS, "by": "a test"}
    pointer = orjson.dumps({"version": ruleset.version, "history": [entry]})
    line.topics[RULESETS] = [
        [
            Record(0, START_MS, reference_of(ruleset).encode(), source),
            Record(1, START_MS, ruleset.id.encode(), pointer),
        ]
    ]
    for event in simulate(SimulationConfig(seed, 20, purchases, START_MS, 6 * 3600, 0.1)).events:
        line.send(event.topic, event.key.encode(), orjson.dumps(event.value), event.at_ms)
    return line


def _late(topic: str, records: Sequence[Record]) -> list[Record]:
    """Decisions, and the state that knows of them, are written a while after what they are on."""
    if topic != DECISIONS and topic not in STATE_OF.values():
        return list(records)
    return [record._replace(timestamp=record.timestamp + LATE_MS) for record in records]


def compacted(records: Sequence[Record], end: int) -> list[Record]:
    """A changelog whose head, before `end`, holds the last record of each key only."""
    last = {record.key: record.offset for record in records[:end]}
    return [record for record in records if record.offset >= end or last[record.key] == record.offset]


def record_line(line: RecordedLine, place: Path, share: float = 0.0, each: int = 50) -> Manifest:
    """Record a line, begun when `share` of its life was over; the changelogs are compacted up to there."""
    entries: dict[str, TopicEntry] = {}
    records = {name: [_late(name, part) for part in line.topics[name]] for name in RECORDED}
    for name, parts in records.items():
        dense = name != RULESETS and name not in STATE_OF.values()
        entries[name] = TopicEntry(begin_offsets=[0] * len(parts), dense=dense)
    for source, changelog in STATE_OF.items():
        ends, begins = list[int](), list[int]()
        for part in records[changelog]:
            image, end = ChangelogImage(), 0
            while end < int(len(part) * share) or (
                end and end < len(part) and fence_of(part[end]) == fence_of(part[end - 1])
            ):
                image.apply([part[end]])
                end += 1
            ends.append(end)
            begins.append(image.fence + 1)
        records[changelog] = [compacted(p, e) for p, e in zip(records[changelog], ends, strict=True)]
        entries[changelog] = TopicEntry(begin_offsets=[0] * len(ends), dense=False, state_offsets=ends)
        records[source] = [part[begin:] for part, begin in zip(records[source], begins, strict=True)]
        entries[source] = TopicEntry(begin_offsets=begins, dense=True)
    writer = RecordingWriter.create(str(place), manifest_of(entries))
    for name, parts in records.items():
        for part in parts:
            for number, record in enumerate(part, 1):
                writer.append(name, record)
                if number % each == 0:
                    writer.flush()
    writer.commit()
    return writer.manifest


def outputs_of(outputs: Iterable[Output], topic: str) -> list[Output]:
    return [output for output in outputs if output.topic == topic]
