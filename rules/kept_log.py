"""A window log as it is kept: cut into chunks, so that one more purchase rewrites a few rows and not all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from models.purchase_fields import PurchaseFields
from rules.chunk import encode_chunk, fill, head_of
from rules.entity import hash64
from rules.velocity import Subject
from rules.windows import WindowLog, is_at_front

CHUNK_ROWS: Final = 8
# Logs with more rows than this have their transactions in a set: looking through them costs more than that.
_LISTED_ROWS: Final = 128


class KeptLog(WindowLog):
    """One entity's log, with what of it has changed since it was last asked.

    Rows have consecutive numbers, and row n lies in chunk n // CHUNK_ROWS.
    """

    __slots__ = ("_begin", "_changed", "_transactions", "_written", "keep_ms")

    def __init__(self) -> None:
        super().__init__()
        # How long the log is worth keeping after its newest row.
        self.keep_ms = 0
        # The number of the first row.
        self._begin = 0
        # Chunks of rows with this number and higher are not written as they are; nor are those in `changed`, of which
        # some may be gone. None where nothing but newer rows has changed.
        self._written = 0
        self._changed: set[int] | None = None
        # The transactions of the rows, where those are many.
        self._transactions: set[bytes] | None = None

    @property
    def last_ms(self) -> int:
        """Event time of the newest row."""
        return self.times[-1]

    def has(self, transaction: bytes) -> bool:
        """Whether a row, not merged yet, is this transaction's."""
        if len(self.times) <= _LISTED_ROWS:
            position = self.transactions.find(transaction)
            # Found across two rows, it may still lie in one behind them.
            return position >= 0 and (not position % 8 or self.index_of(transaction) >= 0)
        known = self._transactions
        if known is None:
            known = self._transactions = {self.transaction(index) for index in range(len(self.times))}
        return transaction in known

    def enter(self, subject: Subject, fields: Sequence[str], max_rows: int, until_ms: int) -> Sequence[bytes]:
        """Enter a purchase once. Returns the transactions whose own rows were merged away by that.

        Rows as old as `until_ms` are not asked for any more: they are dropped before any are merged, so that what
        a log merges to depends on the rows in reach alone, and not on how older ones lie in chunks.
        """
        purchase, amount_minor, transaction, _ = subject
        values = self._values_of(purchase, fields) if fields or self.columns else ()
        index = self.insert(purchase.event_time, amount_minor, transaction, values)
        rows = len(self.times)
        if index < rows - 1 or rows > max_rows:
            return self._entered(index, transaction, max_rows, until_ms)
        if self._transactions is not None:
            self._transactions.add(transaction)
        return ()

    def _values_of(self, purchase: PurchaseFields, fields: Sequence[str]) -> list[int]:
        """What a purchase has in the columns of the log, which are of these fields at least."""
        columns = self.columns
        for field in fields:
            if field not in columns:
                self._keep_fields(fields)
                columns = self.columns
        values: list[int] = []
        for field in columns:
            value = getattr(purchase, field)
            values.append(0 if value is None else hash64(value))
        return values

    def _entered(self, index: int, transaction: bytes, max_rows: int, until_ms: int) -> Sequence[bytes]:
        """Take notice of a row that was inserted."""
        rows = len(self.times)
        if index < rows - 1:
            self._change_from(index)
        if self._transactions is not None:
            self._transactions.add(transaction)
        return self._shorten(max_rows, until_ms) if rows > max_rows else ()

    def _keep_fields(self, fields: Sequence[str]) -> None:
        for field in fields:
            if field not in self.columns:
                self.add_column(field)
                if self.times:
                    self._touch()

    def _touch(self) -> set[int]:
        """Note that something else than newer rows has changed, if only what the last chunk says of the whole log."""
        changed = self._changed
        if changed is None:
            changed = self._changed = set()
        return changed

    def _change_from(self, index: int) -> None:
        """Note that the rows from an index on have other numbers now, or are gone."""
        begin, rows = self._begin, len(self.times)
        self._written = min(self._written, begin + index)
        # Where there is no such row any more, its chunk may be gone.
        self._touch().add((begin + rows - 1) // CHUNK_ROWS)

    def _take_out(self, index: int) -> None:
        begin = self._begin
        if is_at_front(index, len(self.times)):
            self._begin = begin + 1
            self._touch().update(range(begin // CHUNK_ROWS, (begin + index) // CHUNK_ROWS + 1))
        else:
            self._change_from(index)
        if self._transactions is not None:
            self._transactions.discard(self.transaction(index))
        self.remove(index)

    def move(self, transaction: bytes, to: KeptLog, max_rows: int, until_ms: int) -> Sequence[bytes] | None:
        """Move a purchase's row to another log; None where there is none, or where it was merged with others.

        Returns the transactions whose own rows were merged away by that in the other log. What a log knows of its
        beginning goes with its last row.
        """
        index = self.index_of(transaction)
        if index < 0 or self.count(index, index + 1) != 1:
            return None
        row, fields, first_seen_ms = self.row(index), tuple(self.columns), self.first_seen_ms
        self._take_out(index)
        to._keep_fields(fields)
        known = dict(zip(fields, row.values, strict=True))
        values = [known.get(field, 0) for field in to.columns]
        place = to.insert(row.time_ms, row.sum_minor, transaction, values)
        away = to._entered(place, transaction, max_rows, until_ms)
        if not self.times:
            to._begin_at(first_seen_ms)
            self._empty()
        return away

    def _begin_at(self, first_seen_ms: int | None) -> None:
        if first_seen_ms is not None and self.first_seen_ms is not None and first_seen_ms < self.first_seen_ms:
            self.first_seen_ms = first_seen_ms
            self._touch()

    def _empty(self) -> None:
        """Begin anew, but for what is to be written of what there was."""
        gone = self._touch()
        gone.update(self._chunks())
        self.__init__()
        self._changed = gone

    def _chunks(self) -> range:
        """The chunks that there are."""
        begin, end = self._begin, self._begin + len(self.times)
        return range(begin // CHUNK_ROWS, (end - 1) // CHUNK_ROWS + 1 if end > begin else begin // CHUNK_ROWS)

    def keep_for(self, keep_ms: int) -> None:
        """Say how long the log is worth keeping after its newest row."""
        if keep_ms != self.keep_ms:
            self.keep_ms = keep_ms
            # Rows that are not written yet will say so.
            if self.times:
                self._touch()

    def expire(self, until_ms: int, *, least: int = 0) -> bool:
        """Forget chunks whose rows are all as old as `until_ms`, down to `least`; returns whether there were any.

        `least` is 0 or 1.
        """
        times, begin = self.times, self._begin
        rows, first_end = len(times), CHUNK_ROWS - begin % CHUNK_ROWS
        if rows > first_end:
            if times[first_end - 1] > until_ms:
                return False
        elif least or not rows or times[-1] > until_ms:
            return False
        kept = bisect_right(times, until_ms)
        if kept == rows and not least:
            self._empty()
            return True
        # Down to the chunk of the oldest row that is kept, or of the newest of all.
        self._drop_first((begin + min(kept, rows - 1)) // CHUNK_ROWS * CHUNK_ROWS - begin)
        return True

    def _drop_first(self, dropped: int) -> None:
        begin = self._begin
        if self._transactions is not None:
            self._transactions.difference_update([self.transaction(index) for index in range(dropped)])
        self.drop_first(dropped)
        self._begin = begin + dropped
        self._touch().update(range(begin // CHUNK_ROWS, (begin + dropped - 1) // CHUNK_ROWS + 1))

    def clear(self) -> set[int]:
        """Forget everything; returns the chunks that may have been written."""
        self._empty()
        chunks = self._touch()
        self._changed = None
        return chunks

    def _shorten(self, max_rows: int, until_ms: int) -> Sequence[bytes]:
        """Drop what is out of reach, and merge what is still too much."""
        stale = bisect_right(self.times, until_ms)
        if stale == len(self.times):
            self._empty()
        elif stale:
            self._drop_first(stale)
        return self._merge(max_rows) if len(self.times) > max_rows else ()

    def _merge(self, max_rows: int) -> Sequence[bytes]:
        before, begin = bytes(self.transactions), self._begin
        gone = self.merge(max_rows)
        away = [before[index * 8 : index * 8 + 8] for index in gone]
        # The newest rows keep their numbers, and lie in the same chunks.
        self._begin = begin + len(gone)
        self._touch().update(range(begin // CHUNK_ROWS, (begin + gone[-1] + 1) // CHUNK_ROWS + 1))
        if self._transactions is not None:
            self._transactions.difference_update(away)
        return away

    def changes(self) -> list[tuple[int, bytes | None]]:
        """Chunks changed since the last call, by id; None for those that are gone."""
        begin, changed, rows = self._begin, self._changed, len(self.times)
        end = begin + rows
        last = (end - 1) // CHUNK_ROWS
        if changed is None:
            written, self._written = self._written, end
            if written // CHUNK_ROWS == last and written < end:
                # What one purchase more comes to.
                first = last * CHUNK_ROWS - begin
                skip, first = (-first, 0) if first < 0 else (0, first)
                return [(last, encode_chunk(self, first, rows, skip, self.keep_ms))]
            ids = range(written // CHUNK_ROWS, last + 1) if end > written else ()
        else:
            # What holds for the whole log is in the last chunk.
            ids = sorted(changed.union(range(self._written // CHUNK_ROWS, last + 1), (last,) if end > begin else ()))
        self._written, self._changed = end, None
        return [(chunk, self._encoded(chunk)) for chunk in ids]

    def _encoded(self, chunk: int) -> bytes | None:
        """A chunk as it is now; None where it is gone."""
        skip = self._begin - chunk * CHUNK_ROWS
        first, end = max(-skip, 0), min(CHUNK_ROWS - skip, len(self.times))
        return encode_chunk(self, first, end, max(skip, 0), self.keep_ms) if first < end else None

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        self._written, self._changed = self._begin + len(self.times), None

    @classmethod
    def restored(cls, chunks: Mapping[int, bytes]) -> KeptLog:
        """The log that these chunks were written from."""
        ids = sorted(chunks)
        ordered = [chunks[chunk] for chunk in ids]
        kept = cls()
        fill(kept, ordered)
        kept.keep_ms = head_of(ordered[-1]).keep_ms
        kept._begin = ids[0] * CHUNK_ROWS + head_of(ordered[0]).skip
        kept.settle()
        return kept
