"""A whole recording replayed: every fold run again, all that it writes compared, and nothing that came in lost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from rules.fold import Output, Record
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.recording.recorded import ADDED, FROM_DESKS
from streams.replay.arrivals import Arrivals
from streams.replay.beginning import Beginning
from streams.replay.compare import Comparison, Finding, Tally, totals
from streams.replay.differences import Difference, about, fields_between
from streams.replay.identity import digest_of, identity_of
from streams.replay.lanes import WRITTEN, Lanes
from streams.replay.makers import STRAY, Maker, Makers, Place
from streams.replay.source import FOLDED, Source
from streams.replay.spool import BUCKET_ROWS, Row, Spool
from streams.rulesets import Registry
from streams.topics import DECISIONS, PURCHASES, RULESETS

_TOLD_EVERY: Final = 256
_NEEDED: Final = tuple(topic for topic in (PURCHASES, *FOLDED, *WRITTEN, RULESETS) if topic not in ADDED)
_REPLAYED: Final = "replayed"

# Hears how many more records were read.
OnRecords = Callable[[int], object]


class Skipped(NamedTuple):
    """A partition that was replayed from its middle on: `source` before `offset` is not replayed."""

    source: str
    offset: int


@dataclass
class ReplayReport:
    """What a replay found. `tallies` is by topic, `differences` the first of them.

    `lost` names the first of `lost_records`, which came in and went nowhere; `not_arrived` counts those that came
    in before the recording's beginning or were not yet read at its end. `waiting` names records that were left
    because their ruleset is not recorded.
    """

    recording: str
    tallies: dict[str, Tally] = field(default_factory=dict[str, Tally])
    differences: list[Difference] = field(default_factory=list[Difference])
    lost: list[str] = field(default_factory=list[str])
    lost_records: int = 0
    not_arrived: int = 0
    restored: list[Skipped] = field(default_factory=list[Skipped])
    waiting: list[str] = field(default_factory=list[str])

    @property
    def decisions(self) -> Tally:
        """The tally of decisions."""
        return self.tallies.get(DECISIONS) or Tally()

    @property
    def is_equal(self) -> bool:
        """Whether all that could be compared is equal, decisions among it, and nothing was lost."""
        differ = any(tally.differences for tally in self.tallies.values())
        return not (differ or self.lost_records or self.waiting) and bool(self.decisions.compared)

    def to_json(self) -> dict[str, Any]:
        """As `--json` shows it."""
        return {
            "recording": self.recording,
            "equal": self.is_equal,
            "topics": {topic: vars(tally) for topic, tally in self.tallies.items()},
            "differences": [difference.to_json() for difference in self.differences],
            "lost_records": self.lost_records,
            "lost": self.lost,
            "not_arrived": self.not_arrived,
            "restored": [skipped._asdict() for skipped in self.restored],
            "waiting": self.waiting,
        }


def rows_to_read(recording: Recording) -> int:
    """How many records a replay reads, for a progress bar."""
    return sum(recording.manifest.rows(topic) for topic in (*WRITTEN, *FOLDED))


def replay(recording: Recording, show: int = 10, on_records: OnRecords = lambda _: None) -> ReplayReport:
    """Replay a recording and compare; `show` is how many differences are looked at in detail.

    Keeps some 40 bytes of each record on disk meanwhile, in the system's directory for temporary files. Raises
    RecordingError for a recording that is damaged or can't be replayed, OSError where the disk is full.
    """
    _verify_replayable(recording)
    folder = Path(tempfile.mkdtemp(prefix="stopbank-replay-"))
    try:
        return _Replay(recording, folder, show, on_records).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _verify_replayable(recording: Recording) -> None:
    slice_of = recording.manifest.slice_of
    if slice_of is not None and not slice_of.is_whole:
        raise RecordingError(
            f"{recording.name}: it is a slice by account or entity, and what the others brought is not in it: only a "
            "whole recording can be replayed; `stopbank backtest` takes slices"
        )
    recording.require(*_NEEDED)


def recorded_rulesets(recording: Recording) -> Registry:
    """The rulesets that were recorded. Raises RecordingError."""
    registry = Registry(recording.manifest.ruleset)
    for partition in range(recording.partitions(RULESETS)):
        for record in recording.read(RULESETS, partition):
            registry.apply(record.key, record.value)
    registry.complete = True
    return registry


class _Replay:
    """One replay on its way."""

    def __init__(self, recording: Recording, folder: Path, show: int, on_records: OnRecords) -> None:
        self._recording = recording
        self._show = show
        self._on_records = on_records
        self._rulesets = recorded_rulesets(recording)
        self._lanes = Lanes(recording)
        sources = [Source(recording, self._rulesets, t, p) for t in FOLDED for p in range(recording.partitions(t))]
        self._sources = sources
        rows = sum(recording.manifest.rows(topic) for topic in WRITTEN)
        self._spool = Spool(folder, 1 + rows // len(sources) // BUCKET_ROWS)
        self._report = ReplayReport(recording.name)

    def run(self) -> ReplayReport:
        report = self._report
        # First of all: it is soon known that a recording can't be replayed.
        beginnings = [source.beginning().offset for source in self._sources]
        report.restored += [Skipped(str(s), at) for s, at in zip(self._sources, beginnings, strict=True) if at]
        self._note_unseen(self._read_written())
        report.tallies = totals([self._replayed(source) for source in self._sources])
        return report

    def _read_written(self) -> Arrivals:
        """Lay what was written down beside the fold that wrote it; returns whose origins were seen."""
        arrivals, makers = (
            Arrivals(self._recording, self._rulesets, self._lanes),
            Makers(self._recording, self._rulesets),
        )
        for topic in WRITTEN:
            for partition in range(self._recording.partitions(topic)):
                for number, record in enumerate(self._recording.read(topic, partition), start=1):
                    maker = makers.maker_of(topic, record)
                    if topic not in FROM_DESKS:
                        arrivals.note(topic, record, is_routed=maker is None or not maker.certain)
                    if maker is not None:
                        row = self._row(topic, record, self._lanes.lane(topic, partition), record.offset, record.offset)
                        heap = _heap_of(maker)
                        self._spool.add(heap, row._replace(certain=maker.certain))
                    if number % _TOLD_EVERY == 0:
                        self._on_records(_TOLD_EVERY)
        return arrivals

    def _note_unseen(self, arrivals: Arrivals) -> None:
        for place, is_lost in arrivals.unseen():
            if not is_lost:
                self._report.not_arrived += 1
                continue
            self._report.lost_records += 1
            if len(self._report.lost) < self._show:
                self._report.lost.append(str(place))

    def _replayed(self, source: Source) -> dict[str, Tally]:
        beginning = source.beginning()
        number = 0
        for records, (offset, outputs) in enumerate(source.run(beginning), start=1):
            for output in outputs:
                if self._lanes.is_written(output.topic):
                    lane = self._lanes.lane_for(output)
                    self._spool.add(_REPLAYED, self._row(output.topic, output, lane, number, offset))
                    number += 1
            if records % _TOLD_EVERY == 0:
                self._on_records(_TOLD_EVERY)
        if source.waiting is not None:
            self._report.waiting.append(source.waiting)
        heap = _heap_of(Maker(source.topic, source.partition))
        left = self._show - len(self._report.differences)
        comparison = Comparison(
            self._spool, _REPLAYED, (heap, _heap_of(STRAY)), self._lanes, beginning.offset > 0, left
        )
        comparison.run()
        self._spool.drop(_REPLAYED)
        self._spool.drop(heap)
        if comparison.findings:
            self._report.differences += self._described(source, beginning, comparison.findings)
        return comparison.tallies

    def _row(self, topic: str, content: Record | Output, lane: int, position: int, offset: int) -> Row:
        digest = digest_of(topic, content.key, content.value, content.headers)
        identity = identity_of(topic, content.value, content.headers) or digest[:8]
        return Row(digest, identity, lane, position, offset)

    def _described(self, source: Source, beginning: Beginning, findings: Sequence[Finding]) -> list[Difference]:
        outputs = self._outputs_again(source, beginning, {f.replayed.position for f in findings if f.replayed})
        return [self._difference(source, finding, outputs) for finding in findings]

    def _outputs_again(self, source: Source, beginning: Beginning, wanted: set[int]) -> dict[int, Output]:
        """Outputs by their number: the fold runs once more, up to the last of them."""
        found: dict[int, Output] = {}
        number = 0
        for _, outputs in source.run(beginning) if wanted else ():
            for output in outputs:
                if self._lanes.is_written(output.topic):
                    if number in wanted:
                        found[number] = output
                    number += 1
            if len(found) == len(wanted):
                break
        return found

    def _difference(self, source: Source, finding: Finding, outputs: dict[int, Output]) -> Difference:
        verdict, replayed_row, recorded_row = finding
        row = recorded_row or replayed_row
        assert row is not None
        topic = self._lanes.topic_of(row.lane)
        replayed = outputs[replayed_row.position] if replayed_row is not None else None
        replayed_from = str(Place(source.topic, source.partition, replayed_row.offset)) if replayed_row else None
        if recorded_row is None:
            assert replayed is not None
            return Difference(verdict, topic, about(replayed), None, replayed_from)
        partition = self._lanes.partition_of(recorded_row.lane)
        recorded = next(self._recording.read(topic, partition, recorded_row.offset))
        at = str(Place(topic, partition, recorded_row.offset))
        fields = fields_between(recorded, replayed) if replayed is not None else []
        return Difference(verdict, topic, about(replayed or recorded), at, replayed_from, fields)


def _heap_of(maker: Maker) -> str:
    """The name of the heap for what it was recorded to have written."""
    return f"{maker.topic}-{maker.partition}"
