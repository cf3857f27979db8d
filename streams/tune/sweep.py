"""Candidates over a recording: by columns many at once, row by row a few at once, a pass for each group of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import numpy as np

from rules.columns.evaluate import ColumnarSweep, columnar_obstacle
from rules.columns.table import Bools, Ints
from rules.language.compile import CompiledRuleset
from rules.language.variants import Variants
from streams.backtest.judged import ActionCodes
from streams.backtest.maturity import known_of
from streams.backtest.row_path import RowPath
from streams.timeline.timeline import Block
from streams.tune.candidates import Values
from streams.tune.counts import Common, Counts, common_of
from streams.tune.survey import Survey

# By columns each candidate keeps a few bytes for every purchase in reach of a window; row by row each keeps all
# logs, and its decisions of one block.
_BY_COLUMNS: Final = 256
_BY_ROWS: Final = 8
# So many purchases of a recording are looked at together where they are judged row by row.
BLOCK_ROWS_BY_ROW: Final = 2_048

Note = Callable[[int], None]
# Opens a bar: what is done, and how much there is to do.
Progress = Callable[[str, int], AbstractContextManager[Note]]


class _Done(NamedTuple):
    """What one of a group of candidates, by its place in the group, did with a block."""

    place: int
    ok: Bools
    amount_minor: Ints
    actions: ActionCodes


_Judge = Callable[[Block], Iterator[_Done]]


class Outcome(NamedTuple):
    """What came of a sweep: counts by candidate, and the version of each candidate's ruleset."""

    counts: Counts
    versions: list[str]


class Sweep:
    """Judges the candidates of one rule file. `blocks` begins a pass over the recording, of `rows` purchases."""

    def __init__(
        self,
        variants: Variants,
        partition_of: Callable[[bytes], int],
        blocks: Callable[[], Iterator[Block]],
        rows: int,
    ) -> None:
        self._variants = variants
        self._partition_of = partition_of
        self._blocks = blocks
        self._rows = rows
        # Parameters are literals: what depends on outcomes does so under all of their values.
        self.rows_because = columnar_obstacle(variants.as_written.plan)

    def run(self, changes: Sequence[Values], survey: Survey, mature_until_ms: int, progress: Progress) -> Outcome:
        """Judge every candidate. Raises RulesetError where one doesn't compile, and RecordingError."""
        counts = Counts(len(changes), parts=2)
        versions = [""] * len(changes)
        size = _BY_COLUMNS if self.rows_because is None else _BY_ROWS
        with progress("judging", self._rows * len(changes)) as note:
            for first in range(0, len(changes), size):
                rulesets = {
                    number: self._variants.of(changes[number])
                    for number in range(first, min(first + size, len(changes)))
                }
                for number, ruleset in rulesets.items():
                    versions[number] = ruleset.version
                # Rulesets that ask for the same features follow each other: what they share is let go of after.
                numbers = sorted(rulesets, key=lambda number: (rulesets[number].plan.feature_names, number))
                judge = self._judge([rulesets[number] for number in numbers])
                self._pass(judge, numbers, counts, _Parts(survey.split_ms, mature_until_ms), note)
                note(self._rows * (first + len(numbers)))
        return Outcome(counts, versions)

    def _judge(self, rulesets: Sequence[CompiledRuleset]) -> _Judge:
        if self.rows_because is None:
            sweep = ColumnarSweep(rulesets)
            return lambda block: _by_columns(sweep, block)
        paths = [RowPath(ruleset, self._partition_of) for ruleset in rulesets]
        return lambda block: _by_rows(paths, block)

    def _pass(self, judge: _Judge, numbers: Sequence[int], counts: Counts, parts: _Parts, note: Note) -> None:
        """One pass over the recording; `numbers` are the candidates of the group in their order."""
        before = self._rows * min(numbers)
        for block in self._blocks():
            common: Common | None = None
            for done in judge(block):
                if common is None:
                    # Parameters change neither currency nor rates.
                    common = parts.common(block, done.ok, done.amount_minor)
                    if 0 in numbers:
                        counts.add_all(common)
                counts.add(numbers[done.place], common, done.actions)
                before += len(done.ok)
                note(before)


class _Parts(NamedTuple):
    split_ms: int | None
    mature_until_ms: int

    def common(self, block: Block, ok: Bools, amount_minor: Ints) -> Common:
        times = block.columns.event_time_ms[ok]
        is_last = np.zeros(len(times), np.bool_) if self.split_ms is None else times >= self.split_ms
        known = known_of(block.verdicts[ok], times, self.mature_until_ms)
        return common_of(ok, amount_minor, is_last.astype(np.intp), known)


def _by_columns(sweep: ColumnarSweep, block: Block) -> Iterator[_Done]:
    for place, evaluated in enumerate(sweep.take(block.columns)):
        yield _Done(place, evaluated.ok, evaluated.amount_minor, evaluated.actions)


def _by_rows(paths: Sequence[RowPath], block: Block) -> Iterator[_Done]:
    for place, path in enumerate(paths):
        judged = path.judge(block)
        yield _Done(place, judged.ok, judged.amount_minor, judged.actions)
