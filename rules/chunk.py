"""The bytes of a few neighbouring rows of a window log: what one purchase rewrites in the changelog.

A head, then column after column as a log holds them in memory, so that a purchase costs a few copies and nothing for
each row. Numbers are in the machine's byte order, little-endian on all that Stopbank runs on.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from operator import sub
from typing import Final, NamedTuple

from rules.plan import ENTITY_FIELDS
from rules.windows import WindowLog

# Flags, rows dropped before the first, rows, fields, first seen, keep.
_HEAD: Final = struct.Struct("<BBBBqq")
_TIME: Final = struct.Struct("<q")
_MERGED: Final = 1
_WIDE: Final = 2
_NUMBER_BYTES: Final = 8
_WIDE_BYTES: Final = 16
_COUNT_BYTES: Final = 4
# A field is kept as its place among those that there are: a new one goes behind them.
_CODES: Final = {field: code for code, field in enumerate(ENTITY_FIELDS)}


class ChunkHead(NamedTuple):
    """What a chunk says, without its rows.

    `skip` is how many rows were dropped before its first, `last_ms` its newest row's time. `first_seen_ms` and
    `keep_ms` are the whole log's, when the chunk was written: those of the last chunk hold.
    """

    skip: int
    first_seen_ms: int
    keep_ms: int
    last_ms: int


def encode_chunk(log: WindowLog, first: int, end: int, skip: int, keep_ms: int) -> bytes:
    """The rows [first, end) of a log as bytes."""
    sums, merged, rows, columns = log.sums[first : end + 1], log.merged, end - first, log.columns
    flags, packed_sums = (0, sums.tobytes()) if isinstance(sums, array) else _packed_sums(sums)
    times, transactions = log.times[first:end].tobytes(), log.transactions[_NUMBER_BYTES * first : _NUMBER_BYTES * end]
    if merged is None and not columns:
        head = _HEAD.pack(flags, skip, rows, 0, log.first_seen_ms, keep_ms)
        return b"".join((head, times, packed_sums, transactions))
    parts = [bytes([_CODES[field] for field in columns]), times, packed_sums, transactions]
    parts += [column[first:end].tobytes() for column in columns.values()]
    if merged is not None and log.count(first, end) > rows:
        flags |= _MERGED
        counts = array("I", map(sub, merged.counts[first + 1 : end + 1], merged.counts[first:end]))
        parts += [counts.tobytes(), merged.lows[first:end].tobytes(), merged.highs[first:end].tobytes()]
    return b"".join((_HEAD.pack(flags, skip, rows, len(columns), log.first_seen_ms, keep_ms), *parts))


def _packed_sums(sums: list[int]) -> tuple[int, bytes]:
    try:
        return 0, array("q", sums).tobytes()
    except OverflowError:
        return _WIDE, b"".join([total.to_bytes(_WIDE_BYTES, "little", signed=True) for total in sums])


def head_of(raw: bytes) -> ChunkHead:
    """What a chunk says, without its rows."""
    _, skip, rows, fields, first_seen_ms, keep_ms = _HEAD.unpack_from(raw)
    (last_ms,) = _TIME.unpack_from(raw, _HEAD.size + fields + _NUMBER_BYTES * (rows - 1))
    return ChunkHead(skip, first_seen_ms, keep_ms, last_ms)


def kept_until_ms(raw: bytes, at: int = 0) -> int:
    """Until when a log is kept of which this is the last chunk, which begins there."""
    _, _, rows, fields, _, keep_ms = _HEAD.unpack_from(raw, at)
    return keep_ms + _TIME.unpack_from(raw, at + _HEAD.size + fields + _NUMBER_BYTES * (rows - 1))[0]


def fill(log: WindowLog, chunks: Sequence[bytes]) -> None:
    """Fill an empty log with the rows of its chunks, oldest first; the inverse of `encode_chunk`."""
    for raw in chunks:
        _append(log, raw)
    log.first_seen_ms = head_of(chunks[-1]).first_seen_ms


def _append(log: WindowLog, raw: bytes) -> None:
    flags, _, rows, fields, _, _ = _HEAD.unpack_from(raw)
    at, length = _HEAD.size + fields, _NUMBER_BYTES * rows
    names = [ENTITY_FIELDS[code] for code in raw[_HEAD.size : at]]
    # Older chunks lack the fields that came later.
    for field in names:
        if field not in log.columns:
            log.add_column(field)
    merged = log.begin_merging() if flags & _MERGED else log.merged
    log.times.frombytes(raw[at : at + length])
    at += length
    sums_end = at + (rows + 1) * (_WIDE_BYTES if flags & _WIDE else _NUMBER_BYTES)
    _append_sums(log, raw[at:sums_end], wide=bool(flags & _WIDE))
    log.transactions += raw[sums_end : sums_end + length]
    at = sums_end + length
    if log.columns:
        values = {field: raw[at + place * length :][:length] for place, field in enumerate(names)}
        for field, column in log.columns.items():
            column.frombytes(values.get(field) or bytes(length))
        at += fields * length
    if merged is not None and flags & _MERGED:
        counts = array("I", raw[at : at + _COUNT_BYTES * rows])
        amounts = array("q", raw[at + _COUNT_BYTES * rows :])
        for count, low_minor, high_minor in zip(counts, amounts[:rows], amounts[rows:], strict=True):
            merged.append(count, low_minor, high_minor)
    elif merged is not None:
        for amount_minor in log.amounts(len(log.times) - rows, len(log.times)):
            merged.append(1, amount_minor, amount_minor)


def _append_sums(log: WindowLog, raw: bytes, *, wide: bool) -> None:
    """Running totals, whose first is the last of the chunk before."""
    log.sums.pop()
    if wide:
        every = range(0, len(raw), _WIDE_BYTES)
        log.sums = [*log.sums, *[int.from_bytes(raw[at : at + _WIDE_BYTES], "little", signed=True) for at in every]]
    elif isinstance(log.sums, array):
        log.sums.frombytes(raw)
    else:
        log.sums += array("q", raw)
