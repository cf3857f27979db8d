"""State on its way into a changelog topic and back.

Every state record carries a fence: the source offset that the state behind it has applied. A run's state
records lie in one batch, so a broker holds all of them or none; reading back, a record counts only if its
fence is not older than what the key already has, which shuts out a worker that wrote after it lost the
partition.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from rules.fold import SourceRecord
from streams.engine.batch import OutgoingRecord

# A third of the time of `OutgoingRecord(...)`, of which there is one for each change of state.
_record = partial(tuple[Any, ...].__new__, OutgoingRecord)
_FENCE = struct.Struct(">q")
_FENCE_HEADER = "fence"
NO_FENCE = -1
# Written alone where a run changed no state, so that the fence is never behind what is committed.
_FENCE_KEY = b"\0fence"


class ChangelogCorruptError(Exception):
    """A record in a changelog topic was not written by Stopbank."""


def encode_changes(changes: Iterable[tuple[bytes, bytes | None]], fence: int) -> list[OutgoingRecord]:
    """State records as changelog records, at least one; a deletion is a tombstone, its fence a header."""
    packed = _FENCE.pack(fence)
    tombstone = ((_FENCE_HEADER, packed),)
    return [
        _record((key, None, tombstone, None) if value is None else (key, packed + value, (), None))
        for key, value in changes
    ] or [OutgoingRecord(_FENCE_KEY, packed)]


class ChangelogImage:
    """What a changelog partition adds up to: state by key, and the newest fence."""

    def __init__(self) -> None:
        # By key: the value with its fence before it, as it was read. Fences are not negative, and compare as their
        # bytes do.
        self._values: dict[bytes, bytes] = {}
        # By key that was deleted: the fence of the tombstone.
        self._deleted: dict[bytes, bytes] = {}
        self._newest = b""
        # Keys whose last record in the partition is a stale one.
        self._overwritten: set[bytes] = set()

    @property
    def fence(self) -> int:
        """The newest fence, NO_FENCE where there is none."""
        return _FENCE.unpack(self._newest)[0] if self._newest else NO_FENCE

    @property
    def records(self) -> dict[bytes, bytes]:
        """State by key."""
        size = _FENCE.size
        return {key: value[size:] for key, value in self._values.items() if key != _FENCE_KEY}

    def __len__(self) -> int:
        """How many keys have a state."""
        return len(self._values) - (_FENCE_KEY in self._values)

    def apply(self, batch: Sequence[SourceRecord]) -> None:
        """Take changelog records in offset order. Raises ChangelogCorruptError."""
        for record in batch:
            key, value = record.key, record.value
            if key is None:
                raise ChangelogCorruptError(f"record without a key at offset {record.offset}")
            fence = _packed_fence_of(record) if value is None or len(value) < _FENCE.size else value[: _FENCE.size]
            # A record that is not older than any other is not older than what its key has. In a log that nobody else
            # has written to, that goes for all.
            if fence >= self._newest:
                self._newest = fence
            elif fence < self._fence_of(key):
                self._overwritten.add(key)
                continue
            if self._overwritten:
                self._overwritten.discard(key)
            if value is None:
                self._values.pop(key, None)
                self._deleted[key] = fence
            else:
                self._values[key] = value

    def _fence_of(self, key: bytes) -> bytes:
        """The newest fence that a key has had; before all others where it had none."""
        return max(self._values.get(key, b"")[: _FENCE.size], self._deleted.get(key, b""))

    def repairs(self) -> list[OutgoingRecord]:
        """Records that put right what a worker wrote after it had lost the partition.

        Compaction keeps a key's last record, whatever its fence: the one that counts must be the last.
        """
        return [record for key in sorted(self._overwritten) for record in self._again(key)]

    def _again(self, key: bytes) -> list[OutgoingRecord]:
        value = self._values.get(key)
        change = key, None if value is None else value[_FENCE.size :]
        return encode_changes([change], _FENCE.unpack(self._fence_of(key))[0])


def fence_of(record: SourceRecord) -> int:
    """The source offset that the state behind a changelog record has applied. Raises ChangelogCorruptError."""
    return _FENCE.unpack(_packed_fence_of(record))[0]


def _packed_fence_of(record: SourceRecord) -> bytes:
    if record.value is not None:
        if len(record.value) < _FENCE.size:
            raise ChangelogCorruptError(f"record without a fence at offset {record.offset}")
        return record.value[: _FENCE.size]
    for name, packed in record.headers:
        # Not Stopbank's own: a header's value may be null.
        if name == _FENCE_HEADER and len(packed or b"") == _FENCE.size:
            return packed
    raise ChangelogCorruptError(f"tombstone without a fence at offset {record.offset}")
