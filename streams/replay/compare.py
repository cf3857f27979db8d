"""What a partition was recorded to have written against what its replay gives, whatever their number.

Both sides are rows on disk, in buckets by identity. Records are equal where their digests are. Where each lane's
equal records begin and end tells what lies before the beginning of a recording or behind its end: a crash repeats
outputs, and never lets a later one be written before an earlier one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import chain
from typing import Literal, NamedTuple

from streams.replay.lanes import Lanes
from streams.replay.spool import Row, Spool
from streams.topics import DECISIONS

Verdict = Literal["altered", "missing", "extra"]


class Finding(NamedTuple):
    """A difference: the rows of both sides, where they are."""

    verdict: Verdict
    replayed: Row | None
    recorded: Row | None

    @property
    def order(self) -> tuple[int, int]:
        """Findings are shown in this order."""
        row = self.replayed or self.recorded
        assert row is not None
        return (0 if self.replayed is not None else 1, row.position)


@dataclass
class Tally:
    """What came of the records of one topic.

    `replayed` counts what the replay gives and `compared` what of it was recorded with equal bytes; `repeated`
    are further copies of these, `before` what lies before the recording's beginning, `under_way` what was still to
    be written at its end, `after` what was written already and comes of records behind its end. `altered`, `missing`
    and `extra` are the differences.
    """

    replayed: int = 0
    compared: int = 0
    repeated: int = 0
    before: int = 0
    under_way: int = 0
    after: int = 0
    altered: int = 0
    missing: int = 0
    extra: int = 0

    @property
    def differences(self) -> int:
        """How many records differ, lack or are too many."""
        return self.altered + self.missing + self.extra

    def add(self, other: Tally) -> None:
        """Add another's counts to these."""
        for name, count in vars(other).items():
            setattr(self, name, getattr(self, name) + count)


@dataclass
class _Bounds:
    """What is known of where a lane's equal records begin and end, on each side.

    A lane is written in runs: each goes up in the order of the replay, and after a crash the next one begins earlier,
    never later, than the last one ended. A purchase may come twice, too. So of each extreme the bound is taken that is
    safe: `lowest` is the least replayed position and the last place where it is recorded, `highest` the greatest and
    the first such place, `earliest` the first recorded place and the position that is replayed there.
    """

    lowest: tuple[int, int]
    highest: tuple[int, int]
    earliest: tuple[int, int]
    # The greatest replayed position that was recorded behind the beginning.
    last_replayed: int = -1


class _Bucket:
    """Rows of both sides, by digest and by identity."""

    def __init__(self, spool: Spool, replayed: str, recorded: Sequence[str], number: int) -> None:
        self.replayed = _by_digest(spool.rows(replayed, number))
        self.recorded = _by_digest(chain.from_iterable(spool.rows(heap, number) for heap in recorded))
        self.equal = self.replayed.keys() & self.recorded.keys()

    def only_replayed(self) -> Iterator[Sequence[Row]]:
        """Rows of equal digests that were not recorded."""
        return (rows for digest, rows in self.replayed.items() if digest not in self.equal)

    def only_recorded(self) -> Iterator[Sequence[Row]]:
        """Rows of equal digests that were not replayed."""
        return (rows for digest, rows in self.recorded.items() if digest not in self.equal)


@dataclass
class Comparison:
    """What one source partition gave, on one heap, and what was recorded of it, on others.

    `midlife` says that its replay does not begin with its first record.
    """

    spool: Spool
    replayed: str
    recorded: Sequence[str]
    lanes: Lanes
    midlife: bool
    show: int
    tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    findings: list[Finding] = field(default_factory=list[Finding])
    _bounds: dict[int, _Bounds] = field(default_factory=dict[int, _Bounds])

    def run(self) -> None:
        """Compare; `tallies` by topic and the first `findings` are there then."""
        differ = False
        for number in range(self.spool.buckets):
            differ |= self._match(_Bucket(self.spool, self.replayed, self.recorded, number))
        if differ:
            # Only now is it known where each lane's equal records begin, then where they end.
            for judge in (self._find_ends, self._judge):
                for number in range(self.spool.buckets):
                    judge(_Bucket(self.spool, self.replayed, self.recorded, number))

    def _match(self, bucket: _Bucket) -> bool:
        """Count the equal ones and stretch the bounds over them; returns whether there are others."""
        for rows in bucket.replayed.values():
            for row in rows:
                self._tally(row).replayed += 1
        for digest in bucket.equal:
            replayed, recorded = bucket.replayed[digest], bucket.recorded[digest]
            tally = self._tally(replayed[0])
            tally.compared += len(replayed)
            tally.repeated += max(0, len(recorded) - len(replayed))
            self._stretch(replayed, recorded)
        return len(bucket.equal) < max(len(bucket.replayed), len(bucket.recorded))

    def _stretch(self, replayed: Sequence[Row], recorded: Sequence[Row]) -> None:
        """Take equal rows, in their order, into their lane's bounds."""
        lane, first, last = replayed[0].lane, replayed[0].position, replayed[-1].position
        there = [row.position for row in recorded if row.lane == lane]
        if not there:
            return
        found = _Bounds((first, there[-1]), (first, there[0]), (there[0], last))
        known = self._bounds.setdefault(lane, found)
        known.lowest = min(known.lowest, found.lowest)
        known.highest = max(known.highest, found.highest)
        known.earliest = min(known.earliest, found.earliest)

    def _find_ends(self, bucket: _Bucket) -> None:
        """Find the last of each lane that is recorded for what is replayed, not for what was before the beginning."""
        for digest in bucket.equal:
            first = bucket.replayed[digest][0]
            bounds = self._bounds.get(first.lane)
            places = [row.position for row in bucket.recorded[digest] if row.lane == first.lane]
            if bounds is None or not places:
                continue
            # The same purchase may have come before the beginning, and come again so late that it is under way.
            if not self._begins_late(first.lane) or places[-1] >= bounds.lowest[1]:
                bounds.last_replayed = max(bounds.last_replayed, first.position)

    def _begins_late(self, lane: int) -> bool:
        """Whether there may be records on a lane that come of what is not replayed."""
        return self.midlife or self.lanes.begins_late(lane)

    def _judge(self, bucket: _Bucket) -> None:
        """Say of every row that has no equal why."""
        lacking: defaultdict[bytes, list[Sequence[Row]]] = defaultdict(list)
        for rows in bucket.only_replayed():
            lacking[rows[0].identity].append(rows)
        named = {rows[0].identity: rows[0] for rows in bucket.replayed.values()}
        found: list[Finding] = []
        for rows in bucket.only_recorded():
            first = rows[0]
            unanswered = lacking.get(first.identity)
            if not self._is_difference(rows, bool(unanswered)):
                continue
            partner = unanswered.pop()[0] if unanswered else named.get(first.identity)
            found.append(Finding("extra" if partner is None else "altered", partner, first))
        rest = chain.from_iterable(chain.from_iterable(lacking.values()))
        found += [Finding("missing", row, None) for row in rest if self._is_missing(row)]
        for finding in found:
            tally = self._tally(finding.replayed or finding.recorded)
            setattr(tally, finding.verdict, getattr(tally, finding.verdict) + 1)
        self.findings = nsmallest(self.show, [*self.findings, *found], key=lambda finding: finding.order)

    def _is_difference(self, rows: Sequence[Row], answers: bool) -> bool:
        """Whether recorded rows, equal to each other and to none replayed, should not be there.

        `answers` says that the replay gives another one in their place.
        """
        first, tally = rows[0], self._tally(rows[0])
        if not first.certain:
            return answers
        if answers and self.lanes.topic_of(first.lane) == DECISIONS:
            return True
        # What a copy counts for is told by the first of them: further ones may lie anywhere behind it.
        bounds = self._bounds.get(first.lane)
        if self._begins_late(first.lane) and (bounds is None or first.position < bounds.lowest[1]):
            tally.before += len(rows)
            return False
        if not answers and (bounds is None or first.position > bounds.highest[1]):
            tally.after += len(rows)
            return False
        return True

    def _is_missing(self, row: Row) -> bool:
        """Whether a replayed row should have been recorded; else it is counted for what it is."""
        bounds, tally = self._bounds.get(row.lane), self._tally(row)
        if bounds is None or row.position > bounds.last_replayed:
            tally.under_way += 1
            return False
        if row.position < bounds.earliest[1] and self.lanes.begins_late(row.lane):
            tally.before += 1
            return False
        return True

    def _tally(self, row: Row | None) -> Tally:
        assert row is not None
        return self.tallies[self.lanes.topic_of(row.lane)]


def _by_digest(rows: Iterable[Row]) -> Mapping[bytes, list[Row]]:
    grouped: defaultdict[bytes, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.digest].append(row)
    return grouped


def totals(tallies: Sequence[Mapping[str, Tally]]) -> dict[str, Tally]:
    """The tallies of several comparisons, by topic."""
    summed: defaultdict[str, Tally] = defaultdict(Tally)
    for each in tallies:
        for topic, tally in each.items():
            summed[topic].add(tally)
    return dict(summed)
