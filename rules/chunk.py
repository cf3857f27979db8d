"""The bytes of a few neighbouring rows of a window log: what one purchase rewrites in the changelog.

A head, then row after row, so that one more row at the end is appended to the bytes before it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from rules.windows import Row, WindowLog

# Version, flags, row count, first seen, keep, length of the field names; little-endian.
_HEAD: Final = struct.Struct("<BBHqqH")
_VERSION: Final = 2
_MERGED: Final = 1
# 80 bits hold the sum of more purchases than an entity can have.
_SUM_BYTES: Final = 10
_SINGLE_NUMBERS: Final = 2


class Chunk(NamedTuple):
    """Rows as they were kept, with the fields that their `values` belong to, and what holds for the whole log."""

    first_seen_ms: int
    keep_ms: int
    fields: tuple[str, ...]
    rows: list[Row]


@lru_cache(maxsize=64)
def single_layout(fields: int) -> struct.Struct:
    """A row that stands for one purchase: time, amount, the values' hashes, the transaction."""
    return struct.Struct(f"<{_SINGLE_NUMBERS + fields}q8s")


@lru_cache(maxsize=64)
def _merged_layout(fields: int) -> struct.Struct:
    """A merged row: time, purchases, lowest and highest amount, the values' hashes, the sum, the transaction."""
    return struct.Struct(f"<{4 + fields}q{_SUM_BYTES}s8s")


def encode_rows(log: WindowLog, begin: int, end: int) -> tuple[int, bytes]:
    """Flags, and rows [begin, end) as bytes; counts and extreme amounts only where rows were merged."""
    merged = log.count(begin, end) > end - begin
    if not merged:
        pack = single_layout(len(log.columns)).pack
        rows = [log.row(index) for index in range(begin, end)]
        return 0, b"".join([pack(row.time_ms, row.sum_minor, *row.values, row.transaction) for row in rows])
    pack = _merged_layout(len(log.columns)).pack
    return _MERGED, b"".join(
        [
            pack(
                row.time_ms,
                row.purchases,
                row.low_minor,
                row.high_minor,
                *row.values,
                row.sum_minor.to_bytes(_SUM_BYTES, "little"),
                row.transaction,
            )
            for row in (log.row(index) for index in range(begin, end))
        ]
    )


def encode_chunk(flags: int, count: int, log: WindowLog, keep_ms: int, rows: bytes | bytearray) -> bytes:
    """A chunk of rows that were encoded before."""
    assert log.first_seen_ms is not None, "a log with rows has a beginning"
    names = ",".join(log.columns).encode() if log.columns else b""
    return b"".join((_HEAD.pack(_VERSION, flags, count, log.first_seen_ms, keep_ms, len(names)), names, rows))


def decode_chunk(raw: bytes) -> Chunk:
    """Rows as they were; the inverse of `encode_chunk`."""
    _, flags, count, first_seen_ms, keep_ms, names_length = _HEAD.unpack_from(raw)
    begin = _HEAD.size + names_length
    fields = tuple(raw[_HEAD.size : begin].decode().split(",")) if names_length else ()
    layout = _merged_layout(len(fields)) if flags & _MERGED else single_layout(len(fields))
    body = memoryview(raw)[begin : begin + count * layout.size]
    rows = [_merged_row(parts) if flags & _MERGED else _single_row(parts) for parts in layout.iter_unpack(body)]
    return Chunk(first_seen_ms, keep_ms, fields, rows)


def _single_row(parts: Sequence[int | bytes]) -> Row:
    time_ms, amount_minor, *values, transaction = parts
    return Row(time_ms, 1, amount_minor, amount_minor, amount_minor, transaction, tuple(values))  # pyright: ignore[reportArgumentType]  # struct's parts are untyped


def _merged_row(parts: Sequence[int | bytes]) -> Row:
    time_ms, purchases, low_minor, high_minor, *values, packed, transaction = parts
    sum_minor = int.from_bytes(packed, "little")  # pyright: ignore[reportArgumentType]  # as above
    return Row(time_ms, purchases, sum_minor, low_minor, high_minor, transaction, tuple(values))  # pyright: ignore[reportArgumentType]  # as above
