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
from typing import NamedTuple

# How far compaction brings a log below its cap, so that it runs once in many purchases.
_SLACK = 8
# The share of everything newer that a merged row may stand for, at first; doubled while that frees too little.
_FIRST_SHARE = 1 / 512
_HASH_BYTES = 8


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
    """Rows ordered by event time, then by the transaction's hash."""

    __slots__ = ("columns", "counts", "first_seen_ms", "highs", "lows", "sums", "times", "transactions")

    def __init__(self) -> None:
        self.first_seen_ms: int | None = None
        self.times = array("q")
        # Running totals before each row and behind the last; only differences mean anything. Sums may
        # outgrow 64 bits.
        self.counts = [0]
        self.sums = [0]
        self.lows: list[int] = []
        self.highs: list[int] = []
        self.transactions = bytearray()
        self.columns: dict[str, array[int]] = {}

    def __len__(self) -> int:
        return len(self.times)

    def has(self, transaction: bytes) -> bool:
        """Whether a row, not merged yet, is this transaction's."""
        return self.index_of(transaction) >= 0

    def add_column(self, field: str) -> None:
        """Begin to keep a field for distinct counts; purchases before that count as lacking it."""
        self.columns[field] = array("q", bytes(_HASH_BYTES * len(self.times)))

    def insert(self, time_ms: int, amount_minor: int, transaction: bytes, values: Sequence[int]) -> int:
        """Enter a purchase; returns its index. `values` has a hash for each column, in their order."""
        times = self.times
        index = len(times)
        if not index or (self.first_seen_ms is not None and time_ms < self.first_seen_ms):
            self.first_seen_ms = time_ms
        if index and times[-1] >= time_ms:
            index = bisect_right(times, time_ms)
            while index and times[index - 1] == time_ms and self.transaction(index - 1) > transaction:
                index -= 1
        if index < len(times):
            self.insert_row(index, Row(time_ms, 1, amount_minor, amount_minor, amount_minor, transaction, ()), values)
            return index
        times.append(time_ms)
        self.counts.append(self.counts[-1] + 1)
        self.sums.append(self.sums[-1] + amount_minor)
        self.lows.append(amount_minor)
        self.highs.append(amount_minor)
        self.transactions += transaction
        if values:
            for column, value in zip(self.columns.values(), values, strict=True):
                column.append(value)
        return index

    def insert_row(self, index: int, row: Row, values: Sequence[int]) -> None:
        """Put a row at an index that keeps the order."""
        self.times.insert(index, row.time_ms)
        self.lows.insert(index, row.low_minor)
        self.highs.insert(index, row.high_minor)
        self.transactions[index * _HASH_BYTES : index * _HASH_BYTES] = row.transaction
        for column, value in zip(self.columns.values(), values, strict=True):
            column.insert(index, value)
        counts, sums = self.counts, self.sums
        counts.insert(index + 1, counts[index] + row.purchases)
        sums.insert(index + 1, sums[index] + row.sum_minor)
        for later in range(index + 2, len(counts)):
            counts[later] += row.purchases
            sums[later] += row.sum_minor

    def span(self, after_ms: int, until_ms: int) -> tuple[int, int]:
        """Indices (first, end) of the rows with after < time <= until."""
        times = self.times
        return bisect_right(times, after_ms), bisect_right(times, until_ms)

    def count(self, first: int, end: int) -> int:
        """How many purchases rows [first, end) stand for."""
        return self.counts[end] - self.counts[first] if end > first else 0

    def row(self, index: int) -> Row:
        """One row by its index."""
        return Row(
            self.times[index],
            self.counts[index + 1] - self.counts[index],
            self.sums[index + 1] - self.sums[index],
            self.lows[index],
            self.highs[index],
            self.transaction(index),
            tuple(column[index] for column in self.columns.values()),
        )

    def rows(self) -> Iterator[Row]:
        """All rows, oldest first."""
        return map(self.row, range(len(self)))

    def drop_first(self, dropped: int) -> None:
        """Forget the oldest rows."""
        del self.times[:dropped], self.lows[:dropped], self.highs[:dropped]
        del self.transactions[: dropped * _HASH_BYTES]
        for column in self.columns.values():
            del column[:dropped]
        del self.counts[:dropped], self.sums[:dropped]

    def remove(self, index: int) -> None:
        """Take a row out. Where it was the first that was ever seen, the next is from now on."""
        row, times = self.row(index), self.times
        del times[index], self.lows[index], self.highs[index]
        del self.transactions[index * _HASH_BYTES : (index + 1) * _HASH_BYTES]
        for column in self.columns.values():
            del column[index]
        del self.counts[index + 1], self.sums[index + 1]
        for later in range(index + 1, len(self.counts)):
            self.counts[later] -= row.purchases
            self.sums[later] -= row.sum_minor
        if index == 0 and row.time_ms == self.first_seen_ms:
            self.first_seen_ms = times[0] if times else None

    def merge(self, max_rows: int) -> list[int]:
        """Merge old neighbours where the log is over its cap; returns for each new row the index of its newest.

        A pair merges if it stands for at most a share of the purchases that are newer than it. The share
        starts small and doubles until enough rows are free, so old rows grow like those of an exponential
        histogram (Datar, Gionis, Indyk, Motwani 2002) and the newest stay single.
        """
        kept = list(range(len(self)))
        if len(kept) <= max_rows:
            return kept
        target, share = max_rows - max_rows // _SLACK, _FIRST_SHARE
        while len(kept) > target:
            kept = self._merged(kept, share, target)
            share *= 2
        self._keep(kept)
        return kept

    def _merged(self, kept: list[int], share: float, target: int) -> list[int]:
        """One pass from the oldest: the indices of rows that stay, each taking in those before it."""
        counts, total = self.counts, self.counts[-1]
        merged: list[int] = []
        begin, spare = counts[0], len(kept) - target
        for position, index in enumerate(kept):
            after = kept[position + 1] if position + 1 < len(kept) else None
            if spare > 0 and after is not None:
                size = counts[after + 1] - begin
                if size <= share * (total - counts[after + 1]):
                    spare -= 1
                    continue
            merged.append(index)
            begin = counts[index + 1]
        return merged

    def _keep(self, kept: list[int]) -> None:
        starts = [0, *(index + 1 for index in kept[:-1])]
        spans = list(zip(starts, kept, strict=True))
        self.lows = [min(self.lows[first : last + 1]) for first, last in spans]
        self.highs = [max(self.highs[first : last + 1]) for first, last in spans]
        for field, column in self.columns.items():
            self.columns[field] = array("q", (_newest_known(column, first, last) for first, last in spans))
        self.times = array("q", (self.times[index] for index in kept))
        self.transactions = bytearray().join(self.transaction(index) for index in kept)
        self.counts = [self.counts[0], *(self.counts[index + 1] for index in kept)]
        self.sums = [self.sums[0], *(self.sums[index + 1] for index in kept)]

    def transaction(self, index: int) -> bytes:
        """The hash of a row's transaction; of a merged row, its newest's."""
        return bytes(self.transactions[index * _HASH_BYTES : (index + 1) * _HASH_BYTES])

    def index_of(self, transaction: bytes) -> int:
        """The index of the row that has this transaction's hash; -1 where none has."""
        position = self.transactions.find(transaction)
        while position >= 0 and position % _HASH_BYTES:
            position = self.transactions.find(transaction, position + 1)
        return position // _HASH_BYTES if position >= 0 else -1


def _newest_known(column: array[int], first: int, last: int) -> int:
    for index in range(last, first - 1, -1):
        if column[index]:
            return column[index]
    return 0
