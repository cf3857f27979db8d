"""A window log as it is kept: cut into chunks, so that one more purchase rewrites a few rows and not all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from rules.chunk import Chunk, decode_chunk, encode_chunk, encode_rows, single_layout
from rules.entity import value_hash
from rules.velocity import Subject
from rules.windows import Row, WindowLog

CHUNK_ROWS: Final = 16


class KeptLog:
    """One entity's log with the chunks that its rows lie in, and which of them have changed."""

    __slots__ = ("_dirty", "_ids", "_lengths", "_tail", "keep_ms", "log")

    def __init__(self) -> None:
        self.log = WindowLog()
        # How long the log is worth keeping after its newest row.
        self.keep_ms = 0
        # Chunks in the order of their rows: each one's id and its number of rows.
        self._ids: list[int] = []
        self._lengths: list[int] = []
        self._dirty: set[int] = set()
        # The last chunk's rows as bytes, while rows come in order and none is merged; else None.
        self._tail: bytearray | None = None

    @property
    def last_ms(self) -> int:
        """Event time of the newest row."""
        return self.log.times[-1]

    def enter(self, subject: Subject, fields: Sequence[str], max_rows: int, until_ms: int) -> Sequence[bytes]:
        """Enter a purchase once. Returns the transactions whose own rows were merged away by that.

        Rows as old as `until_ms` are not asked for any more: they are dropped before any are merged, so that what
        a log merges to depends on the rows in reach alone, and not on how older ones lie in chunks.
        """
        log = self.log
        if len(fields) > len(log.columns) or not log.columns.keys() >= set(fields):
            self._add_columns(fields)
        purchase, amount_minor, transaction, _ = subject
        values = [value_hash(purchase, field) for field in log.columns]
        return self._insert(purchase.event_time, amount_minor, transaction, values, max_rows, until_ms)

    def _insert(
        self,
        time_ms: int,
        amount_minor: int,
        transaction: bytes,
        values: Sequence[int],
        max_rows: int,
        until_ms: int,
    ) -> Sequence[bytes]:
        log, ids, lengths = self.log, self._ids, self._lengths
        first_seen_ms, rows = log.first_seen_ms, len(log.times)
        index = log.insert(time_ms, amount_minor, transaction, values)
        if log.first_seen_ms != first_seen_ms:
            self._dirty.update(ids)
        if index < rows:
            self._tail = None
            self._place(index)
            return self._shorten(max_rows, until_ms) if rows >= max_rows else ()
        if not ids or lengths[-1] >= CHUNK_ROWS:
            self._add_chunk(len(ids), 0)
            self._tail = bytearray()
        lengths[-1] += 1
        self._dirty.add(ids[-1])
        if self._tail is not None:
            self._tail += single_layout(len(values)).pack(time_ms, amount_minor, *values, transaction)
        return self._shorten(max_rows, until_ms) if rows >= max_rows else ()

    def move(self, transaction: bytes, to: KeptLog, max_rows: int, until_ms: int) -> Sequence[bytes] | None:
        """Move a purchase's row to another log; None where there is none, or where it was merged with others.

        Returns the transactions whose own rows were merged away by that in the other log. What a log knows of its
        beginning goes with its last row.
        """
        log = self.log
        index = log.index_of(transaction)
        if index < 0 or log.count(index, index + 1) != 1:
            return None
        row, fields, first_seen_ms = log.row(index), tuple(log.columns), log.first_seen_ms
        self._remove(index)
        if any(field not in to.log.columns for field in fields):
            to._add_columns(fields)
        known = dict(zip(fields, row.values, strict=True))
        values = [known.get(field, 0) for field in to.log.columns]
        away = to._insert(row.time_ms, row.sum_minor, transaction, values, max_rows, until_ms)
        if not len(log):
            to._begin_at(first_seen_ms)
            dirty = self._dirty.union(self._ids)
            self.__init__()
            self._dirty = dirty
        return away

    def _remove(self, index: int) -> None:
        """Take a row out, and its chunk with it if that was its last."""
        log, ids, lengths = self.log, self._ids, self._lengths
        chunk, end = 0, lengths[0]
        while index >= end:
            chunk += 1
            end += lengths[chunk]
        first_seen_ms = log.first_seen_ms
        log.remove(index)
        self._tail = None
        self._dirty.update(ids if log.first_seen_ms != first_seen_ms else (ids[chunk],))
        lengths[chunk] -= 1
        if not lengths[chunk]:
            del lengths[chunk], ids[chunk]

    def _begin_at(self, first_seen_ms: int | None) -> None:
        log = self.log
        if first_seen_ms is not None and log.first_seen_ms is not None and first_seen_ms < log.first_seen_ms:
            log.first_seen_ms = first_seen_ms
            self._dirty.update(self._ids)

    def _add_columns(self, fields: Sequence[str]) -> None:
        for field in fields:
            if field not in self.log.columns:
                self.log.add_column(field)
                self._dirty.update(self._ids)
                self._tail = None

    def keep_for(self, keep_ms: int) -> None:
        """Say how long the log is worth keeping after its newest row."""
        if keep_ms != self.keep_ms:
            self.keep_ms = keep_ms
            self._dirty.update(self._ids)

    def expire(self, until_ms: int, *, least: int = 0) -> bool:
        """Forget chunks whose rows are all as old as `until_ms`, down to `least`; returns whether there were any."""
        log = self.log
        expired = False
        while len(self._ids) > least and log.times[self._lengths[0] - 1] <= until_ms:
            log.drop_first(self._lengths.pop(0))
            self._dirty.add(self._ids.pop(0))
            expired = True
        return expired

    def clear(self) -> set[int]:
        """Forget everything; returns the chunks that may have been written."""
        chunks = self._dirty.union(self._ids)
        self.__init__()
        return chunks

    def _place(self, index: int) -> None:
        """Count a row that came out of order, at `index`, into its chunk."""
        chunk, begin = len(self._ids) - 1, len(self.log) - 1 - self._lengths[-1]
        while index < begin:
            chunk -= 1
            begin -= self._lengths[chunk]
        self._lengths[chunk] += 1
        self._dirty.add(self._ids[chunk])
        if self._lengths[chunk] > 2 * CHUNK_ROWS:
            self._lengths[chunk] -= CHUNK_ROWS
            self._dirty.add(self._add_chunk(chunk + 1, CHUNK_ROWS))

    def _add_chunk(self, position: int, length: int) -> int:
        chunk = max(self._ids, default=-1) + 1
        self._ids.insert(position, chunk)
        self._lengths.insert(position, length)
        return chunk

    def _shorten(self, max_rows: int, until_ms: int) -> Sequence[bytes]:
        """Drop what is out of reach, and merge what is still too much."""
        self.expire(until_ms)
        stale = bisect_right(self.log.times, until_ms)
        if stale:
            self.log.drop_first(stale)
            self._lengths[0] -= stale
            self._dirty.add(self._ids[0])
            self._tail = self._tail if len(self._ids) > 1 else None
        return self._merge(max_rows) if len(self.log) > max_rows else ()

    def _merge(self, max_rows: int) -> Sequence[bytes]:
        log = self.log
        before = [log.transaction(index) for index in range(len(log))]
        kept = set(log.merge(max_rows))
        self._dirty.update(self._ids)
        rows = len(log)
        self._lengths = [min(CHUNK_ROWS, rows - begin) for begin in range(0, rows, CHUNK_ROWS)]
        self._ids = list(range(len(self._lengths)))
        self._dirty.update(self._ids)
        self._tail = None
        return [transaction for index, transaction in enumerate(before) if index not in kept]

    def changes(self) -> list[tuple[int, bytes | None]]:
        """Chunks changed since the last call, by id; None for those that are gone."""
        dirty, ids = self._dirty, self._ids
        if len(dirty) == 1 and ids and self._tail is not None and ids[-1] in dirty:
            self._dirty = set()
            return [(ids[-1], encode_chunk(0, self._lengths[-1], self.log, self.keep_ms, self._tail))]
        begins: dict[int, tuple[int, int]] = {}
        begin = 0
        for chunk, length in zip(ids, self._lengths, strict=True):
            begins[chunk] = (begin, length)
            begin += length
        self._dirty = set()
        return [(chunk, self._encode(*begins[chunk]) if chunk in begins else None) for chunk in sorted(dirty)]

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        self._dirty.clear()

    def _encode(self, begin: int, length: int) -> bytes:
        flags, rows = encode_rows(self.log, begin, begin + length)
        if not flags and begin + length == len(self.log):
            self._tail = bytearray(rows)
        return encode_chunk(flags, length, self.log, self.keep_ms, rows)

    @classmethod
    def restored(cls, chunks: Mapping[int, bytes]) -> KeptLog:
        """The log that these chunks were written from."""
        decoded = {chunk: decode_chunk(raw) for chunk, raw in chunks.items()}
        ordered = sorted(decoded, key=lambda chunk: _order(decoded[chunk].rows[0]))
        kept = cls()
        kept.keep_ms = max(chunk.keep_ms for chunk in decoded.values())
        kept._ids = ordered
        kept._lengths = [len(decoded[chunk].rows) for chunk in ordered]
        kept._fill([decoded[chunk] for chunk in ordered])
        return kept

    def _fill(self, chunks: Sequence[Chunk]) -> None:
        log = self.log
        log.first_seen_ms = chunks[0].first_seen_ms
        for field in chunks[0].fields:
            log.add_column(field)
        for chunk in chunks:
            for row in chunk.rows:
                log.insert_row(len(log), row, row.values)


def _order(row: Row) -> tuple[int, bytes]:
    return row.time_ms, row.transaction
