"""Entities with more purchases in reach than a log keeps: measured row by row, on logs as they are kept live.

Such a log merges its oldest rows, and what windows over it come to depends on which. An entity is measured on
columns until it is crowded for the first time, and on a log from then on while any row of it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rules.calendar import PeriodClock
from rules.columns.grouped import Grouped
from rules.columns.kept_logs import KeptLogs, happenings, subject_of
from rules.columns.rows import Rows
from rules.columns.table import Bools, Ints
from rules.plan import Feature


class Patch(NamedTuple):
    """Values for some of the new rows, and where they are known, to put in the place of those from columns."""

    rows: Ints
    values: Mapping[str, tuple[Ints, Bools]]


class CrowdedEntities:
    """The crowded ones among the entities of one kind, where outcomes are not known."""

    def __init__(self, entity: tuple[str, ...], reach_ms: int, max_rows: int, features: Sequence[Feature]) -> None:
        self._logs = KeptLogs(entity, reach_ms, max_rows, features)
        # Of each kept row, whether its entity is measured on a log.
        self._on_log: Bools = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self._logs)

    def take(self, grouped: Grouped, crowded: Ints, clock: PeriodClock) -> Patch:
        """Measure a block's crowded entities. `crowded` are positions with too many rows in reach."""
        rows = grouped.rows
        on_log = np.concatenate([self._on_log, np.zeros(rows.new, np.bool_)])
        before = set(np.unique(grouped.first[on_log[grouped.order]]).tolist())
        begins = dict.fromkeys(before, rows.begin)
        for position in crowded.tolist():
            begins.setdefault(int(grouped.first[position]), int(grouped.order[position]))
        measured: dict[int, list[int | None]] = {}
        for first, begin in begins.items():
            of_entity = grouped.order[first : int(np.searchsorted(grouped.first, np.int64(first), "right"))]
            self._play(rows, of_entity, begin, measured, clock, fresh=first not in before)
            on_log[of_entity] = True
        self._on_log = on_log
        return self._patch(rows, measured)

    def _play(
        self,
        rows: Rows,
        of_entity: Ints,
        begin: int,
        measured: dict[int, list[int | None]],
        clock: PeriodClock,
        *,
        fresh: bool,
    ) -> None:
        """Enter what happened to one entity, and measure its rows from `begin` on."""
        key = self._logs.key(rows.purchase(int(of_entity[0])))
        assert key is not None, "what is grouped has an entity"
        for row, now_ms in happenings(rows, of_entity, fresh=fresh, labels=self._logs.asks_fraud):
            subject = subject_of(rows, row)
            if now_ms is not None:
                self._logs.enter_fraud(key, subject, now_ms)
                continue
            if row >= begin:
                measured[row] = self._logs.measure(key, subject, clock)
            self._logs.enter(key, subject)

    def _patch(self, rows: Rows, measured: Mapping[int, Sequence[int | None]]) -> Patch:
        patched = np.array(sorted(measured), np.int64)
        values: dict[str, tuple[Ints, Bools]] = {}
        for slot, feature in enumerate(self._logs.features):
            column = [measured[row][slot] for row in patched.tolist()]
            known = np.array([value is not None for value in column], np.bool_)
            values[feature.name] = np.array([value or 0 for value in column], np.int64), known
        return Patch(patched - rows.begin, values)

    def keep(self, first: int, rows: Rows) -> None:
        """Keep what is known of a block's rows from `first` on."""
        if len(self._on_log) < len(rows):
            self._on_log = np.zeros(len(rows), np.bool_)
        self._on_log = self._on_log[first:].copy()
        if rows.new:
            self._logs.forget(int(rows.time_ms[-1]))
