"""The bytes of a few neighbouring rows of a window log: what one purchase rewrites in the changelog."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from rules.windows import Row

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


def encode_chunk(chunk: Chunk) -> bytes:
    """Rows as bytes; counts and extreme amounts are written only where rows were merged."""
    first_seen_ms, keep_ms, fields, rows = chunk
    merged = any(row.purchases > 1 for row in rows)
    names = ",".join(fields).encode()
    parts = [
        _HEAD.pack(_VERSION, _MERGED if merged else 0, len(rows), first_seen_ms, keep_ms, len(names)),
        names,
        array("q", [row.time_ms for row in rows]).tobytes(),
        b"".join(row.transaction for row in rows),
    ]
    parts += [array("q", column).tobytes() for column in zip(*(row.values for row in rows), strict=True)]
    if merged:
        parts.append(b"".join(row.sum_minor.to_bytes(_SUM_BYTES, "little") for row in rows))
        for name in ("purchases", "low_minor", "high_minor"):
            parts.append(array("q", [getattr(row, name) for row in rows]).tobytes())
    else:
        parts.append(array("q", [row.sum_minor for row in rows]).tobytes())
    return b"".join(parts)


def decode_chunk(raw: bytes) -> Chunk:
    """Rows as they were; the inverse of `encode_chunk`."""
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
