"""Rows brought together by entity: what windows over an entity are cut from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.columns.rows import Rows
from rules.columns.table import MISSING, Bools, Ints

_LARGEST: Final = 2**62


class Grouped:
    """The rows of a block that have an entity, entity after entity, each entity's in canonical order.

    A position is a place in this order: `order[position]` is a row. `first` is the position at which the
    entity of each position begins. `asked` are the positions of the rows that values are wanted for, those that
    are new; an entity's rows before them are from earlier tables.
    """

    def __init__(self, rows: Rows, entity: Sequence[str], begin: int) -> None:
        """Rows before `begin` are left out: no window over the entity reaches them."""
        self.rows = rows
        codes = [rows.codes[field][begin:] for field in entity]
        present = codes[0] != MISSING
        for column in codes[1:]:
            present &= column != MISSING
        kept = np.flatnonzero(present)
        named = _combined([column[kept] for column in codes])
        place = stable_order(named)
        self.order: Ints = kept[place] + begin
        named = named[place]
        begins = np.ones(len(named), np.bool_)
        np.not_equal(named[1:], named[:-1], out=begins[1:])
        self.begins: Bools = begins
        self.first: Ints = np.maximum.accumulate(np.where(begins, np.arange(len(named)), 0))
        self.asked: Ints = np.flatnonzero(self.order >= rows.begin)

    def __len__(self) -> int:
        return len(self.order)

    @cached_property
    def new_rows(self) -> Ints:
        """The asked rows by their number among the new ones."""
        return self.order[self.asked] - self.rows.begin

    @cached_property
    def amounts(self) -> Ints:
        """The amount at each position, minor units of the ruleset's currency."""
        return self.rows.amount_minor[self.order]

    @cached_property
    def times_ms(self) -> Ints:
        """The event time at each position."""
        return self.rows.time_ms[self.order]

    @cached_property
    def _key(self) -> Ints:
        """Entity and row as one number, that grows from position to position."""
        return (np.cumsum(self.begins) - 1) * len(self.rows) + self.order

    @cached_property
    def _asked_base(self) -> Ints:
        return self._key[self.asked] - self.order[self.asked]

    def starts(self, since_row: Ints) -> Ints:
        """For each asked position, the entity's first position in its window.

        `since_row` has, for each new row, the first row (of whatever entity) that is late enough.
        """
        return np.searchsorted(self._key, self._asked_base + since_row[self.new_rows])

    def at_rows(self, positions: Ints, rows: Ints) -> Ints:
        """The first position of each position's entity that holds this row or a later one; of none, behind it."""
        return np.searchsorted(self._key, self._key[positions] - self.order[positions] + rows)

    @cached_property
    def largest(self) -> int:
        """The most rows that an entity has."""
        return int(np.max(np.arange(len(self)) - self.first, initial=-1)) + 1

    def ends(self, starts: Ints) -> Ints:
        """For each position, the first position of an asked row whose window begins behind it."""
        begin = self.first.copy()
        begin[self.asked] = starts
        return np.cumsum(np.bincount(begin, minlength=len(self)))

    @cached_property
    def _next_same(self) -> dict[str, Ints]:
        return {}

    def next_same(self, field: str) -> Ints:
        """For each position the entity's next with the same text of `field`, behind the last one if none."""
        if field not in self._next_same:
            codes = self.rows.codes[field][self.order]
            place = stable_order(_combined([self.first, codes - MISSING]))
            first, codes = self.first[place], codes[place]
            following = np.full(len(self), len(self), np.int64)
            same = (first[1:] == first[:-1]) & (codes[1:] == codes[:-1])
            following[place[:-1][same]] = place[1:][same]
            self._next_same[field] = following
        return self._next_same[field]


def stable_order(keys: Ints) -> Ints:
    """The places of keys, none negative, in ascending order; of equal keys in the order in which they are."""
    bits = len(keys).bit_length()
    if int(np.max(keys, initial=0)) < _LARGEST >> bits:
        # One sort of numbers that differ is several times as fast as a stable sort of places.
        return np.sort((keys << bits) | np.arange(len(keys))) & ((1 << bits) - 1)
    return np.argsort(keys, kind="stable")


def _combined(columns: Sequence[NDArray[np.int64]]) -> Ints:
    """One number for each row, the same where all columns are."""
    combined, size = columns[0], int(np.max(columns[0], initial=0)) + 1
    for column in columns[1:]:
        more = int(np.max(column, initial=0)) + 1
        if size * more >= _LARGEST:
            values, combined = np.unique(combined, return_inverse=True)
            size = len(values)
        combined, size = combined * more + column, size * more
    return combined
