"""A first look at a recording: which purchases count, and where the part to hold out begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.columns.amounts import converted
from rules.columns.table import Ints
from rules.plan import RulesetPlan
from streams.backtest.detection import good_of
from streams.backtest.maturity import Known, known_of
from streams.backtest.report import Unlabelled
from streams.timeline.timeline import Timeline

_MINUTE_MS: Final = 60_000


@dataclass(frozen=True)
class Survey:
    """How many compared purchases there are of each `Known`, by whether they lie before `split_ms` or not.

    Without a part to hold out, `split_ms` is None and all are in the first.
    """

    split_ms: int | None
    known: tuple[tuple[int, ...], tuple[int, ...]]

    def count(self, known: Known) -> int:
        """All purchases of which this is known."""
        return sum(part[known] for part in self.known)


def survey(
    timeline: Timeline,
    plan: RulesetPlan,
    mature_until_ms: int,
    unlabelled_as: Unlabelled,
    holdout: float,
    note: Callable[[int], None],
) -> Survey:
    """Go through a timeline once. `holdout` is the last part of the purchases that count, 0 for none, below 1.

    Time is looked at in whole minutes, the parts meet between two of them. Raises RecordingError.
    """
    minutes, counts = [np.zeros(0, np.int64)], [np.zeros((0, len(Known)), np.int64)]
    done = 0
    for block in timeline.blocks():
        _, ok = converted(block.columns, plan.currency, plan.rates)
        times = block.columns.event_time_ms[ok]
        known = known_of(block.verdicts[ok], times, mature_until_ms)
        met, places = np.unique(times // _MINUTE_MS, return_inverse=True)
        minutes.append(met)
        counts.append(np.bincount(places * len(Known) + known, minlength=len(met) * len(Known)).reshape(-1, len(Known)))
        done += len(block.values)
        note(done)
    all_minutes, all_counts = np.concatenate(minutes), np.concatenate(counts)
    counted = all_counts[:, [Known.FRAUD, *good_of(unlabelled_as)]].sum(axis=1)
    split = _split_minute(all_minutes, counted, holdout) if holdout and len(all_minutes) else None
    is_last = all_minutes >= split if split is not None else np.zeros(len(all_minutes), np.bool_)
    first, last = all_counts[~is_last].sum(axis=0).tolist(), all_counts[is_last].sum(axis=0).tolist()
    return Survey(None if split is None else split * _MINUTE_MS, (tuple(first), tuple(last)))


def _split_minute(minutes: Ints, counted: Ints, holdout: float) -> int:
    """The minute that begins the part to hold out: the first from which on no more than so great a part counts.

    A minute may be there twice, for two blocks that meet in it.
    """
    minutes, places = np.unique(minutes, return_inverse=True)
    by_minute = np.zeros(len(minutes), np.int64)
    np.add.at(by_minute, places, counted)
    from_here_on = np.cumsum(by_minute[::-1])[::-1]
    few = np.flatnonzero(from_here_on <= int(by_minute.sum()) * holdout)
    return int(minutes[few[0]]) if len(few) else int(minutes[-1]) + 1
