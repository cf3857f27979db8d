"""A bundle: purchases that need no station, on their way to the desk in one record.

The hop from `purchases` to `assessments` puts everything about an account into one order, and costs most of
what such a purchase costs if each takes it alone. So the purchases of a run travel together; each is kept
as it came in, with its offset, timestamp, key and headers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final, cast

from rules.fold import Headers, SourceRecord

_COUNT: Final = struct.Struct("<I")
_HEADER: Final = struct.Struct("<Hi")
# Stands for the length of a key, a value or a header's value that is not there.
_ABSENT: Final = -1
# Offsets, timestamps, and the lengths of keys, values and headers.
_COLUMNS: Final = 5


class InvalidBundleError(ValueError):
    """Bytes that are no bundle."""


# A purchase of a bundle as it came in: offset, timestamp, key, value and headers.
Bundled = tuple[int, int, bytes | None, bytes | None, Headers]


def pack_bundle(records: Sequence[SourceRecord]) -> bytes:
    """Records as one value: their number; the columns of offsets, timestamps and lengths; the bytes."""
    count = len(records)
    keys = [record.key for record in records]
    values = [record.value for record in records]
    headers = [_pack_headers(record.headers) if record.headers else b"" for record in records]
    columns = struct.pack(
        _columns(count),
        *[record.offset for record in records],
        *[record.timestamp for record in records],
        *[_ABSENT if key is None else len(key) for key in keys],
        *[_ABSENT if value is None else len(value) for value in values],
        *[len(packed) for packed in headers],
    )
    present = [part for part in (*keys, *values) if part is not None]
    return b"".join((_COUNT.pack(count), columns, *present, *headers))


def unpack_bundle(raw: bytes) -> list[Bundled]:
    """The purchases of a bundle, in their order. Raises InvalidBundleError."""
    try:
        (count,) = _COUNT.unpack_from(raw)
        numbers = struct.unpack_from(_columns(count), raw, _COUNT.size)
    except struct.error as error:
        raise InvalidBundleError(f"not a bundle: {error}") from None
    if not count:
        raise InvalidBundleError("a bundle of nothing")
    offsets, timestamps, *lengths = (numbers[at : at + count] for at in range(0, _COLUMNS * count, count))
    key_lengths, value_lengths, header_lengths = lengths
    position = _COUNT.size + struct.calcsize(_columns(count))
    keys, position = _cut(raw, position, key_lengths)
    values, position = _cut(raw, position, value_lengths)
    packed, position = _cut(raw, position, header_lengths)
    if position != len(raw) or None in packed:
        raise InvalidBundleError(f"a bundle of {position} bytes has {len(raw)}")
    headers = [_unpack_headers(each) if each else () for each in packed]
    return list(zip(offsets, timestamps, keys, values, headers, strict=True))


def _cut(raw: bytes, position: int, lengths: Sequence[int]) -> tuple[Sequence[bytes | None], int]:
    """Pieces of these lengths, one behind the other, and the position behind the last."""
    least = min(lengths)
    if least < _ABSENT:
        raise InvalidBundleError("not a bundle: a length below nothing")
    if not any(lengths):
        return (b"",) * len(lengths), position
    present = lengths if least >= 0 else [max(0, length) for length in lengths]
    ends = list(accumulate(present, initial=position))
    parts = [raw[begin:end] for begin, end in pairwise(ends)]
    if least >= 0:
        return parts, ends[-1]
    return [None if length == _ABSENT else part for length, part in zip(lengths, parts, strict=True)], ends[-1]


def _columns(count: int) -> str:
    return f"<{2 * count}q{3 * count}i"


def _pack_headers(headers: Sequence[tuple[str, bytes]]) -> bytes:
    packed: list[bytes] = []
    for name, value in headers:
        encoded = name.encode()
        # Kafka knows headers without a value, whatever its clients' types say.
        length = _ABSENT if value is None else len(value)  # pyright: ignore[reportUnnecessaryComparison]
        packed += (_HEADER.pack(len(encoded), length), encoded, value or b"")
    return b"".join(packed)


def _unpack_headers(packed: bytes) -> Headers:
    headers: list[tuple[str, bytes]] = []
    position = 0
    try:
        while position < len(packed):
            name_length, value_length = _HEADER.unpack_from(packed, position)
            if value_length < _ABSENT:
                raise InvalidBundleError("not a bundle: a header's length below nothing")
            begin = position + _HEADER.size
            middle = begin + name_length
            position = middle + max(0, value_length)
            value = packed[middle:position] if value_length != _ABSENT else None
            headers.append((packed[begin:middle].decode(), cast(bytes, value)))
    except (struct.error, UnicodeDecodeError) as error:
        raise InvalidBundleError(f"not a bundle: its headers can't be read: {error}") from None
    if position != len(packed):
        raise InvalidBundleError("not a bundle: its headers are cut")
    return tuple(headers)
