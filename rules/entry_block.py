"""Entries that are kept together, in one piece of bytes: column by column, so that one of them is cut out at once."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import orjson

# How many entries, and how long their columns of fixed width, what they share, and the ids of their accounts are. These
# follow in that order, then where each entry's content ends, and the contents. The ids are a JSON array.
_HEAD: Final = struct.Struct("<HIII")
_END: Final = struct.Struct("<I")


class EntryBlock:
    """Entries as they were packed."""

    __slots__ = ("_ends_at", "_ids_at", "_shared_at", "count", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.count, columns_length, shared_length, ids_length = _HEAD.unpack_from(raw)
        self._shared_at = _HEAD.size + columns_length
        self._ids_at = self._shared_at + shared_length
        self._ends_at = self._ids_at + ids_length

    @property
    def columns(self) -> memoryview:
        """What `pack_block` was given as columns."""
        return memoryview(self.raw)[_HEAD.size : self._shared_at]

    @property
    def shared(self) -> bytes:
        """What the entries share."""
        return self.raw[self._shared_at : self._ids_at]

    def account_ids(self) -> Sequence[str]:
        """Whose transactions the entries are of."""
        return orjson.loads(self.raw[self._ids_at : self._ends_at])

    def content(self, number: int) -> bytes:
        """The content of an entry."""
        begin = _END.unpack_from(self.raw, self._ends_at + (number - 1) * _END.size)[0] if number else 0
        (end,) = _END.unpack_from(self.raw, self._ends_at + number * _END.size)
        contents_at = self._ends_at + self.count * _END.size
        return self.raw[contents_at + begin : contents_at + end]


def pack_block(account_ids: Sequence[str], columns: bytes, contents: Sequence[bytes], shared: bytes = b"") -> bytes:
    """Entries in one piece: an account and a content for each; `columns` have what is as long for all of them."""
    count, ids = len(contents), orjson.dumps(account_ids)
    ends = struct.pack(f"<{count}I", *accumulate(map(len, contents)))
    return b"".join((_HEAD.pack(count, len(columns), len(shared), len(ids)), columns, shared, ids, ends, *contents))
