"""Rows that windows reach: those of earlier tables, then those of the table that is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.purchase import Purchase
from rules.columns.purchases import purchase_at
from rules.columns.table import Ints, PurchaseColumns


@dataclass(frozen=True, slots=True)
class Rows:
    """Purchases with a known amount, in canonical order; those from `begin` on are new.

    `codes` has for each field that is counted by the number of each row's text, the same in all tables of a run.
    `table` and `place` say where a row comes from: its table's number, and its place in that table.
    """

    begin: int
    time_ms: Ints
    amount_minor: Ints
    fraud_known_ms: Ints
    codes: Mapping[str, Ints]
    table: Ints
    place: Ints
    tables: Mapping[int, PurchaseColumns]

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def new(self) -> int:
        """How many rows are new."""
        return len(self) - self.begin

    def purchase(self, row: int) -> Purchase:
        """The purchase that a row is."""
        return purchase_at(self.tables[int(self.table[row])], int(self.place[row]))

    @property
    def before_ms(self) -> int:
        """The time that was reached before the new rows, 0 before the first."""
        return int(self.time_ms[self.begin - 1]) if self.begin else 0

    def reached(self, reach_ms: int) -> int:
        """The first row that is in reach as the new ones begin, looking back so far."""
        return self.first_after(self.before_ms - reach_ms)

    def first_after(self, time_ms: int) -> int:
        """The first row that is later than a time."""
        return int(np.searchsorted(self.time_ms, np.int64(time_ms), "right"))

    def since(self, after_ms: Ints) -> Ints:
        """For each new row the first row that is later than a time."""
        return np.searchsorted(self.time_ms, after_ms, "right")

    def followed_by(self, other: Rows) -> Rows:
        """These rows, with others behind them, which alone are new."""
        return Rows(
            len(self),
            np.concatenate([self.time_ms, other.time_ms]),
            np.concatenate([self.amount_minor, other.amount_minor]),
            np.concatenate([self.fraud_known_ms, other.fraud_known_ms]),
            {field: np.concatenate([self.codes[field], other.codes[field]]) for field in self.codes},
            np.concatenate([self.table, other.table]),
            np.concatenate([self.place, other.place]),
            {**self.tables, **other.tables},
        )

    def from_row(self, first: int, codes: Mapping[str, Ints]) -> Rows:
        """The rows from `first` on, none of them new, with the texts' numbers as they are from now on."""
        table = self.table[first:].copy()
        oldest = int(table[0]) if len(table) else len(self.tables)
        return Rows(
            len(self) - first,
            self.time_ms[first:].copy(),
            self.amount_minor[first:].copy(),
            self.fraud_known_ms[first:].copy(),
            codes,
            table,
            self.place[first:].copy(),
            {number: kept for number, kept in self.tables.items() if len(table) and number >= oldest},
        )


def no_rows(fields: frozenset[str]) -> Rows:
    """No rows at all."""
    none = np.zeros(0, np.int64)
    return Rows(0, none, none, none, dict.fromkeys(fields, none), none, none, {})
