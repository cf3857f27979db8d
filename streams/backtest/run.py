"""A backtest: one pass over a recording, in which each ruleset decides on every purchase."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.columns.table import Bools
from streams.backtest.choose_path import WantedPath, choose_path
from streams.backtest.contender import Contender, Party
from streams.backtest.figures import Counted, report_of
from streams.backtest.flips import FlipSample
from streams.backtest.maturity import known_of
from streams.backtest.report import BacktestReport, Unlabelled
from streams.backtest.row_path import RowPath
from streams.backtest.rule_tallies import RuleTallies
from streams.backtest.tallies import WeekTallies
from streams.engine.partitioner import partition_for
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.timeline.bare_labels import fraud_without_purchase
from streams.timeline.label_file import LabelFileError
from streams.timeline.labels import LabelTable
from streams.timeline.last_event import last_event_ms
from streams.timeline.timeline import BLOCK_ROWS, Block, Timeline, TimelineCounts
from streams.topics import ASSESSMENTS, PURCHASES

DAY_MS: Final = 86_400_000
# Row by row a block's decisions are kept until it is counted.
_BLOCK_ROWS_BY_ROW: Final = 8_192


@dataclass(frozen=True)
class BacktestOptions:
    """What is asked of a backtest; see `streams.backtest.report.Labels` for the first two.

    `flips` is the most examples of flips, `path` how rulesets are evaluated.
    """

    maturity_ms: int = 60 * DAY_MS
    unlabelled_as: Unlabelled = "left-out"
    flips: int = 200
    path: WantedPath = "auto"


def run_backtest(
    recording: Recording,
    new: Contender,
    old: Contender | None,
    labels: LabelTable,
    options: BacktestOptions,
    note: Callable[[int], None],
) -> BacktestReport:
    """Compare what two rulesets do; without `old`, tell what the new one does.

    `note` hears how many purchases are done, of `recording.manifest.rows("purchases")` at most. Raises
    RecordingError, and LabelFileError where a file has labels of transactions that were not recorded.
    """
    begun_s = time.perf_counter()
    partition_of = accounts_partition(recording)
    parties = [_party(each, partition_of, options) for each in (new, *([old] if old is not None else []))]
    by_row = any(isinstance(party.path, RowPath) for party in parties)
    timeline = Timeline(recording, labels, block_rows=_BLOCK_ROWS_BY_ROW if by_row else BLOCK_ROWS)
    mature_until_ms = ((last_event_ms(recording) or 0) if len(labels) else 0) - options.maturity_ms
    backtest = _Pass(parties, WeekTallies(new.ruleset.plan.time_zone), FlipSample(options.flips), mature_until_ms)
    done = 0
    for block in timeline.blocks():
        backtest.take(block)
        done += len(block.values)
        note(done)
    if timeline.counts.unknown_labels:
        raise LabelFileError(unknown_labels(timeline.counts))
    if timeline.counts.purchases and not backtest.compared:
        raise RecordingError(_nothing_compared(recording, parties, timeline.counts.purchases))
    counted = Counted(
        recording=recording.name,
        counts=timeline.counts,
        bad_labels=labels.bad_records,
        weeks=backtest.weeks,
        flips=backtest.flips,
        maturity_ms=options.maturity_ms,
        mature_until_ms=mature_until_ms,
        unlabelled_as=options.unlabelled_as,
        fraud_without_purchase=fraud_without_purchase(recording) if any(map(_asks_fraud, parties)) else None,
        elapsed_s=time.perf_counter() - begun_s,
    )
    return report_of(counted, parties[0], parties[1] if len(parties) > 1 else None)


class _Pass:
    """What is counted on the way; the new ruleset is the first of the parties."""

    def __init__(self, parties: list[Party], weeks: WeekTallies, flips: FlipSample, mature_until_ms: int) -> None:
        self._parties = parties
        self.weeks = weeks
        self.flips = flips
        self._mature_until_ms = mature_until_ms
        self.compared = 0

    def take(self, block: Block) -> None:
        """Decide on a block under every ruleset, and count it."""
        judged = [party.judge(block) for party in self._parties]
        compared: Bools = np.logical_and.reduce([each.ok for each in judged])
        self.compared += int(np.count_nonzero(compared))
        times, verdicts = block.columns.event_time_ms[compared], block.verdicts[compared]
        known = known_of(verdicts, times, self._mature_until_ms)
        amount_minor = judged[0].amount_minor[compared]
        for party in self._parties:
            party.count(compared, amount_minor, known)
        new, *olds = self._parties
        old_actions = olds[0].judged.actions[compared] if olds else None
        self.weeks.add(times, amount_minor, old_actions, judged[0].actions[compared], known)
        if olds:
            rows = np.flatnonzero(compared & (olds[0].judged.actions != new.judged.actions))
            self.flips.add(block, olds[0], new, rows)


def _party(contender: Contender, partition_of: Callable[[bytes], int], options: BacktestOptions) -> Party:
    path, rows_because = choose_path(contender.ruleset, partition_of, options.path)
    return Party(contender, path, rows_because, RuleTallies(contender.ruleset, options.unlabelled_as))


def accounts_partition(recording: Recording) -> Callable[[bytes], int]:
    """Where live the account of a key is decided on: in as many partitions as were recorded."""
    partitions = recording.partitions(ASSESSMENTS) or recording.partitions(PURCHASES) or 1
    return lambda key: partition_for(key, partitions)


def _asks_fraud(party: Party) -> bool:
    plan = party.ruleset.plan
    return bool(plan.fraud_desk or plan.fraud_stations)


def unknown_labels(counts: TimelineCounts) -> str:
    """What is wrong where a file has labels of transactions that were not recorded."""
    more = f", and {counts.unknown_labels - 1} more" if counts.unknown_labels > 1 else ""
    return f"{counts.first_unknown_label} is no transaction of the recording{more}: leave out what was not recorded"


def _nothing_compared(recording: Recording, parties: list[Party], purchases: int) -> str:
    lacking = [party for party in parties if party.no_rate == purchases] or parties
    named = " and ".join(f"{party.ruleset.id}, in {party.ruleset.plan.currency}," for party in lacking)
    return (
        f"{recording.name}: no purchase can be compared: {named} {'have' if len(lacking) > 1 else 'has'} no rate for "
        "their currencies: add `rates`"
    )
