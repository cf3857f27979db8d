"""The bytes of a few neighbouring rows of a window log: what one purchase rewrites in the changelog."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from operator import sub
from typing import NamedTuple

from rules.windows import Row, WindowLog

# Layout: version, flags, row count, first seen, keep, length of the field names; then the columns, little-endian.
_HEAD = struct.Struct("<BBHqqH")
_VERSION = 1
_MERGED = 1
# 80 bits hold the sum of more purchases than an entity can have.
_SUM_BYTES = 10
_HASH_BYTES = 8


class Chunk(NamedTuple):
    """Rows as they were kept, with the fields that their `values` belong to, and what holds for the whole log."""

    first_seen_ms: int
    keep_ms: int
    fields: tuple[str, ...]
    rows: list[Row]


def encode_rows(log: WindowLog, begin: int, end: int, keep_ms: int) -> bytes:
    """Rows [begin, end) as bytes; counts and extreme amounts are written only where rows were merged."""
    assert log.first_seen_ms is not None, "a log with rows has a beginning"
    counts, sums = log.counts, log.sums
    merged = counts[end] - counts[begin] > end - begin
    names = ",".join(log.columns).encode()
    flags = _MERGED if merged else 0
    parts = [
        _HEAD.pack(_VERSION, flags, end - begin, log.first_seen_ms, keep_ms, len(names)),
        names,
        log.times[begin:end].tobytes(),
        bytes(log.transactions[begin * _HASH_BYTES : end * _HASH_BYTES]),
    ]
    parts += [column[begin:end].tobytes() for column in log.columns.values()]
    row_sums = map(sub, sums[begin + 1 : end + 1], sums[begin:end])
    if not merged:
        parts.append(array("q", row_sums).tobytes())
        return b"".join(parts)
    parts += [total.to_bytes(_SUM_BYTES, "little") for total in row_sums]
    row_counts = map(sub, counts[begin + 1 : end + 1], counts[begin:end])
    parts += [array("q", column).tobytes() for column in (row_counts, log.lows[begin:end], log.highs[begin:end])]
    return b"".join(parts)


def decode_chunk(raw: bytes) -> Chunk:
    """Rows as they were; the inverse of `encode_rows`."""
    _, flags, count, first_seen_ms, keep_ms, names_length = _HEAD.unpack_from(raw)
    position = _HEAD.size + names_length
    fields = tuple(raw[_HEAD.size : position].decode().split(",")) if names_length else ()

    def take(width: int) -> bytes:
        nonlocal position
        position += count * width
        return raw[position - count * width : position]

    times = array("q", take(8))
    transactions = take(_HASH_BYTES)
    columns = [array("q", take(8)) for _ in fields]
    if flags & _MERGED:
        packed = take(_SUM_BYTES)
        sums: Sequence[int] = [
            int.from_bytes(packed[at : at + _SUM_BYTES], "little") for at in range(0, len(packed), _SUM_BYTES)
        ]
        counts, lows, highs = (array("q", take(8)) for _ in range(3))
    else:
        sums = lows = highs = array("q", take(8))
        counts = array("q", [1]) * count
    rows = [
        Row(
            times[i],
            counts[i],
            sums[i],
            lows[i],
            highs[i],
            transactions[i * _HASH_BYTES : (i + 1) * _HASH_BYTES],
            tuple(column[i] for column in columns),
        )
        for i in range(count)
    ]
    return Chunk(first_seen_ms, keep_ms, fields, rows)
