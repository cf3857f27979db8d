"""State on its way into a changelog topic and back.

Every state record carries a fence: the source offset that the state behind it has applied. A run's state
records lie in one batch, so a broker holds all of them or none; reading back, a record counts only if its
fence is not older than what the key already has, which shuts out a worker that wrote after it lost the
partition.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from rules.fold import SourceRecord
from streams.engine.batch import OutgoingRecord

# A third of the time of `OutgoingRecord(...)`, of which there is one for each change of state.
_record = partial(tuple.__new__, OutgoingRecord)
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


@dataclass(slots=True)
class ChangelogImage:
    """What a changelog partition adds up to: state by key, and the newest fence."""

    fence: int = NO_FENCE
    records: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    _fences: dict[bytes, int] = field(default_factory=dict[bytes, int])
    # Keys whose last record in the partition is a stale one.
    _overwritten: set[bytes] = field(default_factory=set[bytes])

    def apply(self, batch: Sequence[SourceRecord]) -> None:
        """Take changelog records in offset order. Raises ChangelogCorruptError."""
        for record in batch:
            key, value = record.key, record.value
            fence = fence_of(record)
            if key is None:
                raise ChangelogCorruptError(f"record without a key at offset {record.offset}")
            if fence < self._fences.get(key, NO_FENCE):
                self._overwritten.add(key)
                continue
            self._fences[key] = fence
            self.fence = max(self.fence, fence)
            self._overwritten.discard(key)
            if value is None:
                self.records.pop(key, None)
            elif key != _FENCE_KEY:
                self.records[key] = value[_FENCE.size :]

    def repairs(self) -> list[OutgoingRecord]:
        """Records that put right what a worker wrote after it had lost the partition.

        Compaction keeps a key's last record, whatever its fence: the one that counts must be the last.
        """
        return [
            record
            for key in sorted(self._overwritten)
            for record in encode_changes([(key, self._value_of(key))], self._fences[key])
        ]

    def _value_of(self, key: bytes) -> bytes | None:
        return b"" if key == _FENCE_KEY else self.records.get(key)


def fence_of(record: SourceRecord) -> int:
    """The source offset that the state behind a changelog record has applied. Raises ChangelogCorruptError."""
    if record.value is not None:
        if len(record.value) < _FENCE.size:
            raise ChangelogCorruptError(f"record without a fence at offset {record.offset}")
        return _FENCE.unpack_from(record.value)[0]
    for name, packed in record.headers:
        # Not Stopbank's own: a header's value may be null.
        if name == _FENCE_HEADER and len(packed or b"") == _FENCE.size:
            return _FENCE.unpack(packed)[0]
    raise ChangelogCorruptError(f"tombstone without a fence at offset {record.offset}")
