"""Rows on disk: what is left of each record to be compared, so that memory does not grow with a recording."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from streams.replay.identity import DIGEST_BYTES, IDENTITY_BYTES

# Rows that are compared in memory at a time, about.
BUCKET_ROWS: Final = 200_000
_BUFFERED_BYTES: Final = 8_000_000


class Row(NamedTuple):
    """One record.

    `lane` is the partition that it was, or would be, written to, `position` its place among those of its lane:
    the offset of a recorded record, the number of a replayed one. `offset` is that of the recorded record, or of the
    source record that a replayed one came from.
    """

    digest: bytes
    identity: bytes
    lane: int
    position: int
    offset: int
    certain: bool = True


_ROW: Final = struct.Struct(f"<{DIGEST_BYTES}s{IDENTITY_BYTES}sIqq?")


class Spool:
    """Named heaps of rows, each in buckets by identity: rows to be compared with each other share a bucket."""

    def __init__(self, folder: Path, buckets: int) -> None:
        self._folder = folder
        self.buckets = buckets
        self._buffers: defaultdict[Path, bytearray] = defaultdict(bytearray)
        self._buffered_bytes = 0

    def add(self, heap: str, row: Row) -> None:
        """Put a row on a heap."""
        bucket = int.from_bytes(row.identity, "little") % self.buckets
        self._buffers[self._path(heap, bucket)] += _ROW.pack(*row)
        self._buffered_bytes += _ROW.size
        if self._buffered_bytes >= _BUFFERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is in memory. Raises OSError."""
        for path, buffer in self._buffers.items():
            with path.open("ab") as file:
                file.write(buffer)
        self._buffers.clear()
        self._buffered_bytes = 0

    def rows(self, heap: str, bucket: int) -> Iterator[Row]:
        """The rows of a bucket, in the order in which they came."""
        path = self._path(heap, bucket)
        raw = path.read_bytes() if path.exists() else b""
        yield from map(Row._make, _ROW.iter_unpack(raw + bytes(self._buffers.get(path, b""))))

    def drop(self, heap: str) -> None:
        """Forget a heap."""
        for bucket in range(self.buckets):
            path = self._path(heap, bucket)
            self._buffered_bytes -= len(self._buffers.pop(path, b""))
            path.unlink(missing_ok=True)

    def _path(self, heap: str, bucket: int) -> Path:
        return self._folder / f"{heap}.{bucket}"
