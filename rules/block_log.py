"""What a fold keeps of transactions for a while: oldest out first, its state in blocks."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

# How long an entry is kept, in event time, and how many for a partition.
KEEP_MS: Final = 86_400_000
KEEP_IN_ALL: Final = 250_000

_SEQUENCE: Final = struct.Struct(">Q")
# A block: the oldest sequence that was kept when it was written, and how long what its entries have in common is.
_BLOCK: Final = struct.Struct(">QI")
# An entry: how long its content is, event time, transaction, how long its account is. Account and content follow.
_ENTRY: Final = struct.Struct("<Iq8sH")
_pack = _ENTRY.pack
_pack_sequence = _SEQUENCE.pack
_TIME: Final = struct.Struct("<q")
_TIME_AT: Final = 4
_TRANSACTION: Final = slice(12, 20)
_ACCOUNT_LENGTH: Final = struct.Struct("<H")
_ACCOUNT_LENGTH_AT: Final = 20


class BlockLog:
    """Entries of one fold, oldest out first; each is the content that is kept of a transaction of an account.

    The state holds them in blocks, one for each run in which there were any, so that a run writes one record
    for all of them; it also tells the oldest sequence that was kept then. A block goes when the last of its
    entries does. Entries are kept in memory as the bytes that they are in their block.
    """

    def __init__(self, key: bytes, keep_per_account: int) -> None:
        """`key` is the byte that the keys of the state records begin with."""
        self._key = key
        self._keep_bytes = keep_per_account * _SEQUENCE.size
        # By sequence, which counts all entries ever kept.
        self._kept: dict[int, bytes] = {}
        # A transaction is one account's, but nothing keeps two accounts from sending the same id.
        self._by_transaction: dict[bytes, int | list[int]] = {}
        self._next = 0
        # The oldest that is kept, and its event time.
        self._oldest = 0
        self._oldest_ms = 0
        # First sequences of the blocks that are written, oldest first; a block is named by its first sequence.
        self._blocks: deque[int] = deque()
        self._unwritten: list[bytes] = []

    def enter(
        self, latest: bytes, account_id: str, transaction: bytes, event_time_ms: int, content: bytes, now_ms: int
    ) -> bytes:
        """Keep an entry, and let go of the oldest; `now_ms` is the latest event time seen.

        `latest` are the sequences of the account's latest entries, some of which may be gone. Returns what they
        are now.
        """
        named = account_id.encode()
        entry = _pack(len(content), event_time_ms, transaction, len(named)) + named + content
        self._unwritten.append(entry)
        latest = self._add(latest, transaction, entry)
        if self._oldest_ms < now_ms - KEEP_MS or len(self._kept) > KEEP_IN_ALL:
            self.let_go(now_ms)
        return latest

    def of_transaction(self, transaction: bytes) -> list[tuple[int, bytes]]:
        """What is kept of a transaction, of any account, oldest first: each entry with its sequence."""
        sequences = self._by_transaction.get(transaction)
        if sequences is None:
            return []
        kept = self._kept
        return [(each, kept[each]) for each in ([sequences] if isinstance(sequences, int) else sequences)]

    def let_go(self, now_ms: int) -> None:
        """Forget what is too old or too much, but never the newest.

        How often this is called in between makes no difference to what is kept after it.
        """
        kept = self._kept
        while (len(kept) > KEEP_IN_ALL or self._oldest_ms < now_ms - KEEP_MS) and len(kept) > 1:
            self._forget(self._oldest)

    def _add(self, latest: bytes, transaction: bytes, entry: bytes) -> bytes:
        sequence, kept = self._next, self._kept
        self._next = sequence + 1
        kept[sequence] = entry
        if len(kept) == 1:
            self._oldest, self._oldest_ms = sequence, time_of(entry)
        # Where a transaction has no other, what comes back is this very sequence.
        if (others := self._by_transaction.setdefault(transaction, sequence)) is not sequence:
            self._by_transaction[transaction] = [*([others] if isinstance(others, int) else others), sequence]
        latest += _pack_sequence(sequence)
        if len(latest) > self._keep_bytes:
            (first,), latest = _SEQUENCE.unpack_from(latest), latest[_SEQUENCE.size :]
            if first in kept:
                self._forget(first)
        return latest

    def _forget(self, sequence: int) -> None:
        kept = self._kept
        transaction = kept.pop(sequence)[_TRANSACTION]
        others = self._by_transaction.pop(transaction)
        if not isinstance(others, int):
            others.remove(sequence)
            self._by_transaction[transaction] = others if len(others) > 1 else others[0]
        if sequence == self._oldest and kept:
            while sequence not in kept:
                sequence += 1
            self._oldest, self._oldest_ms = sequence, time_of(kept[sequence])

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        if not self._kept:
            return
        if self._unwritten:
            entries, self._unwritten = self._unwritten, []
            begin, common = self._next - len(entries), self._in_common()
            self._blocks.append(begin)
            yield self._block_key(begin), b"".join((_BLOCK.pack(self._oldest, len(common)), common, *entries))
        while len(self._blocks) > 1 and self._blocks[1] <= self._oldest:
            yield self._block_key(self._blocks.popleft()), None

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the entries back from their state records."""
        blocks = {_SEQUENCE.unpack(key[1:])[0]: raw for key, raw in records.items() if key[:1] == self._key}
        if not blocks:
            return
        oldest, _ = _BLOCK.unpack_from(blocks[max(blocks)])
        for begin in sorted(blocks):
            self._blocks.append(begin)
            self._restore_block(begin, blocks[begin], oldest)

    def _restore_block(self, sequence: int, raw: bytes, oldest: int) -> None:
        _, common_length = _BLOCK.unpack_from(raw)
        position = _BLOCK.size + common_length
        self._take_in_common(raw[_BLOCK.size : position])
        while position < len(raw):
            content_length, _, transaction, account_length = _ENTRY.unpack_from(raw, position)
            entry = raw[position : position + _ENTRY.size + account_length + content_length]
            # A worker that had lost the partition may have written the same entries in other blocks.
            if sequence >= oldest and sequence >= self._next:
                self._next = sequence
                self._restore_entry(account_of(entry), transaction, entry)
            sequence += 1
            position += len(entry)
        self._next = max(self._next, sequence)

    def _restore_entry(self, account_id: str, transaction: bytes, entry: bytes) -> None:
        """Give the entry to `_add`, with its account's latest sequences."""
        raise NotImplementedError

    def _in_common(self) -> bytes:
        """What the entries that are not written yet have in common, to be written once for all; asked for once."""
        return b""

    def _take_in_common(self, raw: bytes) -> None:
        """Take back what the entries of a block have in common."""

    def _block_key(self, begin: int) -> bytes:
        return self._key + _SEQUENCE.pack(begin)


def time_of(entry: bytes) -> int:
    """An entry's event time, epoch milliseconds."""
    return _TIME.unpack_from(entry, _TIME_AT)[0]


def account_of(entry: bytes) -> str:
    """Whose transaction an entry is of."""
    return entry[_ENTRY.size : content_at(entry)].decode()


def content_at(entry: bytes) -> int:
    """Where an entry's content begins; it goes to the end."""
    return _ENTRY.size + _ACCOUNT_LENGTH.unpack_from(entry, _ACCOUNT_LENGTH_AT)[0]
