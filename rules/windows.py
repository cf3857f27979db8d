"""The window log of one entity: its purchases in event-time order, with running totals.

Every window over the entity is two binary searches and a subtraction, exact for late and out-of-order
purchases too. The log is bounded: past its cap the oldest neighbours merge into rows that stand for several
purchases. Totals stay whole; a window whose edge falls inside a merged row takes all of it, so that it is
over by less than that row, and rows merge only while they are small beside what is newer than they are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import compress, pairwise
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from rules.merged_rows import MergedRows, behind, compressed, merging

# How far compaction brings a log below its cap, so that it runs once in many purchases.
_SLACK = 3
_HASH_BYTES = 8
# Logs without columns share this: most have none, and an empty dict of its own is larger than their rows.
_NO_COLUMNS: Final[dict[str, array[int]]] = {}

# Running totals: a list where they outgrow 64 bits.
Totals: TypeAlias = "array[int] | list[int]"


class Row(NamedTuple):
    """One row: a purchase, or several that were merged (`purchases` of them, the time of the newest).

    `low_minor` and `high_minor` are the smallest and the largest amount; `values` holds a 64-bit hash for each
    field that is counted distinct, 0 where it is missing.
    """

    time_ms: int
    purchases: int
    sum_minor: int
    low_minor: int
    high_minor: int
    transaction: bytes
    values: tuple[int, ...]


class WindowLog:
    """Rows ordered by event time, then by the transaction's hash.

    `times` are event times in ms; `sums` running totals of amounts, before each row and behind the last, of which only
    differences mean anything; `transactions` 8 bytes for each row; `columns` the hashes of each field that is counted
    distinct. `merged` is None while every row is one purchase.
    """

    __slots__ = ("columns", "first_seen_ms", "merged", "sums", "times", "transactions")

    def __init__(self) -> None:
        self.first_seen_ms: int | None = None
        self.times = array("q")
        self.sums: Totals = array("q", (0,))
        self.transactions = bytearray()
        self.columns = _NO_COLUMNS
        self.merged: MergedRows | None = None

    def __len__(self) -> int:
        return len(self.times)

    def add_column(self, field: str) -> None:
        """Begin to keep a field for distinct counts; purchases before that count as lacking it."""
        self.columns = {**self.columns, field: array("q", bytes(_HASH_BYTES * len(self.times)))}

    def insert(self, time_ms: int, amount_minor: int, transaction: bytes, values: Sequence[int]) -> int:
        """Enter a purchase; returns its index. `values` has a hash for each column, in their order."""
        times = self.times
        index = len(times)
        if not index:
            self._begin_with(time_ms, amount_minor)
        else:
            if times[-1] >= time_ms:
                index = self._index_for(time_ms, transaction)
                if index < len(times):
                    self._insert_at(index, time_ms, amount_minor, transaction, values)
                    return index
            times.append(time_ms)
            sums = self.sums
            total = sums[-1] + amount_minor
            try:
                sums.append(total)
            except OverflowError:
                self.sums = [*sums, total]
        self.transactions += transaction
        if values:
            for place, column in enumerate(self.columns.values()):
                column.append(values[place])
        if self.merged is not None:
            self.merged.append(1, amount_minor, amount_minor)
        return index

    def _begin_with(self, time_ms: int, amount_minor: int) -> None:
        """Take the first time and amount, in arrays no larger than that: most entities have no more."""
        self.first_seen_ms = time_ms
        self.times = array("q", (time_ms,))
        self.sums = _with_totals(array("q"), 0, 0, [0, amount_minor])

    def _index_for(self, time_ms: int, transaction: bytes) -> int:
        """Where a purchase belongs that is not newer than all others."""
        times = self.times
        if self.first_seen_ms is None or time_ms < self.first_seen_ms:
            self.first_seen_ms = time_ms
        index = bisect_right(times, time_ms)
        while index and times[index - 1] == time_ms and self.transaction(index - 1) > transaction:
            index -= 1
        return index

    def _insert_at(
        self, index: int, time_ms: int, amount_minor: int, transaction: bytes, values: Sequence[int]
    ) -> None:
        """Put a purchase at an index that keeps the order."""
        self.times.insert(index, time_ms)
        self.transactions[index * _HASH_BYTES : index * _HASH_BYTES] = transaction
        for column, value in zip(self.columns.values(), values, strict=True):
            column.insert(index, value)
        # Most that come out of order come a little late: few totals lie behind them.
        later = [total + amount_minor for total in self.sums[index:]]
        self.sums = _with_totals(self.sums, index + 1, len(self.sums), later)
        merged = self.merged
        if merged is not None:
            merged.counts[index + 1 :] = array("q", [count + 1 for count in merged.counts[index:]])
            merged.lows.insert(index, amount_minor)
            merged.highs.insert(index, amount_minor)

    def begin_merging(self) -> MergedRows:
        """From now on rows may stand for several purchases."""
        merged = self.merged
        if merged is None:
            merged = self.merged = MergedRows(self.amounts(0, len(self.times)))
        return merged

    def amounts(self, first: int, end: int) -> list[int]:
        """The sum of each of the rows [first, end)."""
        return [after - before for before, after in pairwise(self.sums[first : end + 1])]

    @property
    def counts(self) -> Sequence[int]:
        """Running totals of purchases, before each row and behind the last; only differences mean anything."""
        return range(len(self.times) + 1) if self.merged is None else self.merged.counts

    def lows(self, first: int, end: int) -> Sequence[int]:
        """The smallest amount of each of the rows [first, end)."""
        return self.amounts(first, end) if self.merged is None else self.merged.lows[first:end]

    def highs(self, first: int, end: int) -> Sequence[int]:
        """The largest amount of each of the rows [first, end)."""
        return self.amounts(first, end) if self.merged is None else self.merged.highs[first:end]

    def span(self, after_ms: int, until_ms: int) -> tuple[int, int]:
        """Indices (first, end) of the rows with after < time <= until."""
        times = self.times
        return bisect_right(times, after_ms), bisect_right(times, until_ms)

    def count(self, first: int, end: int) -> int:
        """How many purchases rows [first, end) stand for."""
        if end <= first:
            return 0
        return end - first if self.merged is None else self.merged.counts[end] - self.merged.counts[first]

    def row(self, index: int) -> Row:
        """One row by its index."""
        amount_minor, merged = self.sums[index + 1] - self.sums[index], self.merged
        return Row(
            self.times[index],
            self.count(index, index + 1),
            amount_minor,
            amount_minor if merged is None else merged.lows[index],
            amount_minor if merged is None else merged.highs[index],
            self.transaction(index),
            tuple([column[index] for column in self.columns.values()]),
        )

    def rows(self) -> Iterator[Row]:
        """All rows, oldest first."""
        return map(self.row, range(len(self)))

    def drop_first(self, dropped: int) -> None:
        """Forget the oldest rows."""
        del self.times[:dropped], self.sums[:dropped]
        del self.transactions[: dropped * _HASH_BYTES]
        for column in self.columns.values():
            del column[:dropped]
        merged = self.merged
        if merged is None:
            return
        del merged.counts[:dropped], merged.lows[:dropped], merged.highs[:dropped]
        if merged.counts[-1] - merged.counts[0] == len(self.times):
            self.merged = None

    def remove(self, index: int) -> None:
        """Take a row out. Where it was the first that was ever seen, the next is from now on."""
        times, time_ms = self.times, self.times[index]
        at_front = is_at_front(index, len(times))
        del times[index]
        del self.transactions[index * _HASH_BYTES : (index + 1) * _HASH_BYTES]
        for column in self.columns.values():
            del column[index]
        self.sums = _without_total(self.sums, index, at_front=at_front)
        merged = self.merged
        if merged is not None:
            _without_total(merged.counts, index, at_front=at_front)
            del merged.lows[index], merged.highs[index]
        if index == 0 and time_ms == self.first_seen_ms:
            self.first_seen_ms = times[0] if times else None

    def merge(self, max_rows: int) -> Sequence[int]:
        """Merge old neighbours where the log is over its cap; returns the rows that went into the next one.

        A pair merges if it stands for at most a share of the purchases that are newer than it: the smallest of
        1/512, 1/256 and so on at which there are as many pairs as rows to be freed, and then the next until enough
        are free. So old rows grow like those of an exponential histogram (Datar, Gionis, Indyk, Motwani 2002) and
        the newest stay single.
        """
        if len(self.times) <= max_rows:
            return ()
        merged = self.begin_merging()
        gone = merging(merged.counts, max_rows - max_rows // _SLACK)
        staying = np.ones(len(self.times), np.bool_)
        staying[gone] = False
        merged.merge(staying)
        self.times = compressed(self.times, staying)
        if isinstance(self.sums, array):
            self.sums = compressed(self.sums, behind(staying))
        else:
            self.sums = list(compress(self.sums, behind(staying).tolist()))
        hashes = np.frombuffer(self.transactions, np.uint64)
        self.transactions = bytearray(hashes[staying].tobytes())
        for field, column in self.columns.items():
            # Each into the one behind it: oldest first, so that what that took in goes on with it.
            for index in gone:
                column[index + 1] = column[index + 1] or column[index]
            self.columns[field] = compressed(column, staying)
        return gone

    def transaction(self, index: int) -> bytes:
        """The hash of a row's transaction; of a merged row, its newest's."""
        return bytes(self.transactions[index * _HASH_BYTES : (index + 1) * _HASH_BYTES])

    def index_of(self, transaction: bytes) -> int:
        """The index of the row that has this transaction's hash; -1 where none has."""
        position = self.transactions.find(transaction)
        while position >= 0 and position % _HASH_BYTES:
            position = self.transactions.find(transaction, position + 1)
        return position // _HASH_BYTES if position >= 0 else -1


def is_at_front(index: int, rows: int) -> bool:
    """Whether it is what lies before a row that moves up where that is taken out, and not what lies behind."""
    return 2 * index < rows - 1


def _with_totals(totals: Totals, first: int, end: int, numbers: list[int]) -> Totals:
    """Running totals with other numbers in the place of [first, end): the same ones, unless those outgrow 64 bits."""
    if isinstance(totals, array):
        try:
            totals[first:end] = array("q", numbers)
        except OverflowError:
            totals = totals.tolist()
        else:
            return totals
    totals[first:end] = numbers
    return totals


def _without_total(totals: Totals, index: int, *, at_front: bool) -> Totals:
    """Running totals without the number at an index."""
    taken = totals[index + 1] - totals[index]
    if at_front:
        return _with_totals(totals, 0, index + 1, [total + taken for total in totals[:index]])
    return _with_totals(totals, index + 1, len(totals), [total - taken for total in totals[index + 2 :]])
