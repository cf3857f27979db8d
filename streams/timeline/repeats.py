"""Transactions that come again within a day: the first in canonical order counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rules.block_log import KEEP_MS
from rules.columns.table import Bools, Ints
from streams.timeline.batch import Batch
from streams.timeline.hashing import Hashes, hash_texts
from streams.timeline.texts import Rows

# A younger run is put together with the one before it when it has grown to half its size.
_GROWTH: Final = 2


@dataclass(frozen=True, slots=True)
class _Run:
    """Transactions of the last day, sorted by hash."""

    transaction: Hashes
    event_time_ms: Ints
    body: Hashes

    def __len__(self) -> int:
        return len(self.transaction)

    @classmethod
    def of(cls, transaction: Hashes, event_time_ms: Ints, body: Hashes) -> _Run:
        order = np.argsort(transaction, kind="stable")
        return cls(transaction[order], event_time_ms[order], body[order])


class Repeats:
    """The transactions of the last day of event time, each by 64 bits of its id and of its body.

    A purchase whose transaction_id was taken less than a day before, or just a day, is left out: it is counted in
    `repeats` where it is the same purchase, in `conflicts` where it is another.
    """

    def __init__(self) -> None:
        self.repeats = 0
        self.conflicts = 0
        self._runs: list[_Run] = []

    def first_rows(self, batch: Batch) -> Rows | None:
        """The rows of the next batch that come for the first time; None for all of them."""
        column = batch.texts["transaction_id"]
        transactions, bodies = hash_texts(column.words)[column.codes], batch.body_hashes()
        since_ms = int(batch.event_time_ms[0]) - KEEP_MS
        again = self._doubtful(transactions)
        if not again.any():
            self._keep(_Run.of(transactions, batch.event_time_ms, bodies), since_ms)
            return None
        is_first = ~again
        is_first[self._first_of(np.flatnonzero(again), transactions, batch.event_time_ms, bodies)] = True
        rows = np.flatnonzero(is_first)
        self._keep(_Run.of(transactions[rows], batch.event_time_ms[rows], bodies[rows]), since_ms)
        return rows

    def _doubtful(self, transactions: Hashes) -> Bools:
        """Which rows have a transaction that the last day had, or that is there twice."""
        _, inverse, counts = np.unique(transactions, return_inverse=True, return_counts=True)
        again = counts[inverse] > 1
        for run in self._runs:
            at = np.minimum(np.searchsorted(run.transaction, transactions), len(run) - 1)
            again |= run.transaction[at] == transactions
        return again

    def _first_of(self, doubtful: Rows, transactions: Hashes, event_time_ms: Ints, bodies: Hashes) -> list[int]:
        """Row by row: which of the doubtful rows come for the first time."""
        known = self._latest(np.unique(transactions[doubtful]))
        first: list[int] = []
        for row in doubtful.tolist():
            transaction, now_ms, body = int(transactions[row]), int(event_time_ms[row]), int(bodies[row])
            before = known.get(transaction)
            if before is None or before[0] < now_ms - KEEP_MS:
                known[transaction] = now_ms, body
                first.append(row)
            elif before[1] == body:
                self.repeats += 1
            else:
                self.conflicts += 1
        return first

    def _latest(self, transactions: Hashes) -> dict[int, tuple[int, int]]:
        """When each of these was last taken, and its body."""
        known: dict[int, tuple[int, int]] = {}
        for run in self._runs:
            # A transaction may be in a run more than once, a day apart; a stable sort has the latest last.
            at = np.searchsorted(run.transaction, transactions, side="right") - 1
            # What is before all of the run looks at its last, which it does not equal.
            found = run.transaction[at] == transactions
            taken = zip(run.event_time_ms[at[found]].tolist(), run.body[at[found]].tolist(), strict=True)
            # Runs follow each other in time.
            known.update(zip(transactions[found].tolist(), taken, strict=True))
        return known

    def _keep(self, run: _Run, since_ms: int) -> None:
        """Add a run, and let go of what is more than a day old."""
        self._runs = [old for old in self._runs if old.event_time_ms.max() >= since_ms]
        if len(run):
            self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-1]) * _GROWTH >= len(self._runs[-2]):
            self._runs[-2:] = [_together(self._runs[-2], self._runs[-1], since_ms)]


def _together(older: _Run, younger: _Run, since_ms: int) -> _Run:
    young = older.event_time_ms >= since_ms
    return _Run.of(
        np.concatenate([older.transaction[young], younger.transaction]),
        np.concatenate([older.event_time_ms[young], younger.event_time_ms]),
        np.concatenate([older.body[young], younger.body]),
    )
