"""A window log as it is kept: cut into chunks, so that one more purchase rewrites a few rows and not all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rules.chunk import Chunk, decode_chunk, encode_rows
from rules.entity import value_hash
from rules.velocity import Subject
from rules.windows import Row, WindowLog

CHUNK_ROWS = 16


class KeptLog:
    """One entity's log with the chunks that its rows lie in, and which of them have changed."""

    __slots__ = ("_dirty", "_ids", "_lengths", "keep_ms", "log")

    def __init__(self) -> None:
        self.log = WindowLog()
        # How long the log is worth keeping after its newest row.
        self.keep_ms = 0
        # Chunks in the order of their rows: each one's id and its number of rows.
        self._ids: list[int] = []
        self._lengths: list[int] = []
        self._dirty: set[int] = set()

    @property
    def last_ms(self) -> int:
        """Event time of the newest row."""
        return self.log.times[-1]

    def enter(self, subject: Subject, fields: Sequence[str], max_rows: int) -> Sequence[bytes]:
        """Enter a purchase once. Returns the transactions whose own rows were merged away by that."""
        log = self.log
        for field in fields:
            if field not in log.columns:
                log.add_column(field)
                self._dirty.update(self._ids)
        values = {field: value_hash(subject.purchase, field) for field in log.columns}
        first_seen_ms = log.first_seen_ms
        index = log.insert(subject.purchase.event_time, subject.amount_minor, subject.transaction, values)
        if log.first_seen_ms != first_seen_ms:
            self._dirty.update(self._ids)
        self._place(index)
        return self._merge(max_rows) if len(log) > max_rows else ()

    def expire(self, until_ms: int) -> bool:
        """Forget chunks whose rows are all as old as `until_ms`; returns whether there were any."""
        log = self.log
        expired = False
        while self._ids and log.times[self._lengths[0] - 1] <= until_ms:
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
        """Count a new row at `index` into its chunk."""
        if index == len(self.log) - 1 and (not self._ids or self._lengths[-1] >= CHUNK_ROWS):
            self._dirty.add(self._add_chunk(len(self._ids), 1))
            return
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

    def _merge(self, max_rows: int) -> Sequence[bytes]:
        log = self.log
        before = [log.transaction(index) for index in range(len(log))]
        kept = set(log.merge(max_rows))
        self._dirty.update(self._ids)
        rows = len(log)
        self._lengths = [min(CHUNK_ROWS, rows - begin) for begin in range(0, rows, CHUNK_ROWS)]
        self._ids = list(range(len(self._lengths)))
        self._dirty.update(self._ids)
        return [transaction for index, transaction in enumerate(before) if index not in kept]

    def changes(self) -> list[tuple[int, bytes | None]]:
        """Chunks changed since the last call, by id; None for those that are gone."""
        begins: dict[int, tuple[int, int]] = {}
        begin = 0
        for chunk, length in zip(self._ids, self._lengths, strict=True):
            begins[chunk] = (begin, length)
            begin += length
        dirty, self._dirty = sorted(self._dirty), set()
        return [(chunk, self._encode(*begins[chunk]) if chunk in begins else None) for chunk in dirty]

    def _encode(self, begin: int, length: int) -> bytes:
        return encode_rows(self.log, begin, begin + length, self.keep_ms)

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
                log.insert_row(len(log), row, dict(zip(chunk.fields, row.values, strict=True)))


def _order(row: Row) -> tuple[int, bytes]:
    return row.time_ms, row.transaction
