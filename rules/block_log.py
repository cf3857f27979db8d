"""What a fold keeps of transactions for a while: oldest out first, its state in blocks."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

import numpy as np

from rules.entry_block import EntryBlock

# How long an entry is kept, in event time, and how many for a partition.
KEEP_MS: Final = 86_400_000
KEEP_IN_ALL: Final = 250_000

_SEQUENCE: Final = struct.Struct(">Q")
_TRANSACTION: Final = struct.Struct("8s")
_pack_sequence = _SEQUENCE.pack
# What an account has of an entry: its transaction and its sequence.
_ROW_BYTES: Final = 16
_SEQUENCE_AT: Final = 8
# Of an account's rows those that are gone are let go of whenever there are a multiple of eight.
_LOOKED_AT: Final = 8 * _ROW_BYTES
_TIME_BYTES: Final = 8
# A state record: the oldest sequence that was kept when it was written, and how many entries are in it. Behind that
# their transactions, their event times, and the block.
_RECORD: Final = struct.Struct("<QI")
# In the place of an event time: earlier than any, so that the entry is passed over when it is the oldest.
GONE_MS: Final = -(2**63)
# So many entries make a block though the run is not at its end.
_FULL: Final = 1_024
# Columns begin with entries that are gone, which are cut off when there are so many of them.
_CUT: Final = 16_384

_Entry = TypeVar("_Entry")


class BlockLog(Generic[_Entry]):
    """Entries of one fold, oldest out first; each is what is kept of a transaction of an account.

    The state holds them in blocks, one for each run in which there were any, so that a run writes one record
    for all of them; it also tells the oldest sequence that was kept then. A block goes when the last of its
    entries does. In memory, too, they lie in their blocks: from there an entry is taken when somebody asks for it.
    Who asks knows the account, which has the sequences of its latest entries.
    """

    def __init__(self, key: bytes, keep_per_account: int) -> None:
        """`key` is the byte that the keys of the state records begin with."""
        self._key = key
        self._keep_bytes = keep_per_account * _ROW_BYTES
        # Counts all entries ever kept, and those that are kept now.
        self._next = 0
        self._kept = 0
        # The oldest that is kept, and its event time.
        self._oldest = 0
        self._oldest_ms: int = GONE_MS
        # Event times and transactions of the entries from this sequence on.
        self._column_begin = 0
        self._times: array[int] = array("q")
        self._transactions = bytearray()
        # The blocks and their first sequences, oldest first; a block is named by its first sequence.
        self._begins: deque[int] = deque()
        self._blocks: deque[bytes] = deque()
        # Entries that are in no block yet: the latest.
        self._open: list[_Entry] = []
        # From which sequence on blocks are not in the state yet, and which are there still though they are not here.
        self._written = 0
        self._dropped: list[int] = []

    def enter(self, latest: bytes, transaction: bytes, event_time_ms: int, entry: _Entry, now_ms: int) -> bytes:
        """Keep an entry, and let go of the oldest; `now_ms` is the latest event time seen.

        `latest` is what the account has of its latest entries, some of which may be gone. Returns what it has now.
        """
        sequence = self._next
        self._next = sequence + 1
        self._kept += 1
        self._open.append(entry)
        self._times.append(event_time_ms)
        self._transactions += transaction
        size = len(latest)
        if size >= self._keep_bytes or not size % _LOOKED_AT:
            latest = self._bounded(latest)
        if self._oldest_ms < now_ms - KEEP_MS or self._kept > KEEP_IN_ALL:
            self.let_go(now_ms)
        if len(self._open) >= _FULL:
            self._close()
        return latest + transaction + _pack_sequence(sequence)

    def sequences(self, latest: bytes, transaction: bytes) -> Sequence[int]:
        """Which entries are kept of a transaction of an account, oldest first; `latest` is as `enter` returned it."""
        found: list[int] = []
        # Quicker than `in`.
        at = latest.find(transaction)
        while at >= 0:
            if at % _ROW_BYTES == 0:
                (sequence,) = _SEQUENCE.unpack_from(latest, at + _SEQUENCE_AT)
                if sequence >= self._oldest:
                    found.append(sequence)
            at = latest.find(transaction, at + 1)
        return found

    def first_of_all(self, transaction: bytes) -> int | None:
        """The oldest entry that is kept of a transaction of any account."""
        column = np.frombuffer(self._transactions, "<u8")
        for number in np.flatnonzero(column == int.from_bytes(transaction, "little")).tolist():
            sequence = self._column_begin + number
            if sequence >= self._oldest and self._times[number] != GONE_MS:
                return sequence
        return None

    def let_go(self, now_ms: int) -> None:
        """Forget what is too old or too much, but never the newest.

        How often this is called in between makes no difference to what is kept after it.
        """
        if not self._kept:
            return
        times, begin, kept, since_ms = self._times, self._column_begin, self._kept, now_ms - KEEP_MS
        at = self._oldest - begin
        while (kept > KEEP_IN_ALL or times[at] < since_ms) and kept > 1:
            self._forgotten(begin + at)
            kept -= 1
            at += 1
            while times[at] == GONE_MS:
                at += 1
        self._kept, self._oldest, self._oldest_ms = kept, begin + at, times[at]

    def _bounded(self, latest: bytes) -> bytes:
        """What an account has of its latest entries, without those that are gone, with room for one more."""
        begin, end = 0, len(latest)
        while begin < end:
            (first,) = _SEQUENCE.unpack_from(latest, begin + _SEQUENCE_AT)
            if first >= self._oldest:
                if end - begin < self._keep_bytes:
                    break
                self._forget(first)
            begin += _ROW_BYTES
        return latest[begin:]

    def _forget(self, sequence: int) -> None:
        self._forgotten(sequence)
        self._kept -= 1
        self._times[sequence - self._column_begin] = GONE_MS
        if sequence == self._oldest:
            self._begin_at(sequence)

    def _begin_at(self, sequence: int) -> None:
        """What is kept begins with this entry or, where that is gone, with the next that is not."""
        times, at = self._times, sequence - self._column_begin
        while times[at] == GONE_MS:
            at += 1
        self._oldest, self._oldest_ms = self._column_begin + at, times[at]

    def _entry_at(self, sequence: int) -> tuple[EntryBlock, int]:
        """The block that an entry is in, and its number there."""
        open_begin = self._next - len(self._open)
        if sequence >= open_begin:
            return EntryBlock(self._pack([self._open[sequence - open_begin]])), 0
        number = bisect_right(self._begins, sequence) - 1
        return EntryBlock(self._blocks[number]), sequence - self._begins[number]

    def _time_at(self, sequence: int) -> int:
        return self._times[sequence - self._column_begin]

    # -- state --------------------------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        self._close()
        end, written = self._next, self._written
        for begin, block in zip(reversed(self._begins), reversed(self._blocks), strict=True):
            if begin < written:
                break
            yield self._block_key(begin), self._record(block, begin, end)
            end = begin
        self._written = self._next
        dropped, self._dropped = self._dropped, []
        for begin in dropped:
            yield self._block_key(begin), None

    def _close(self) -> None:
        """Put what is in no block yet into one, and let go of blocks of which nothing is kept."""
        begins, blocks = self._begins, self._blocks
        if self._open:
            entries, self._open = self._open, []
            begins.append(self._next - len(entries))
            blocks.append(self._pack(entries))
            self._taken(EntryBlock(blocks[-1]))
        while len(begins) > 1 and begins[1] <= self._oldest:
            self._let_go_of(EntryBlock(blocks.popleft()))
            begin = begins.popleft()
            if begin < self._written:
                self._dropped.append(begin)
        if begins and begins[0] - self._column_begin > _CUT:
            cut = begins[0] - self._column_begin
            del self._times[:cut], self._transactions[: cut * _TRANSACTION.size]
            self._column_begin += cut

    def _record(self, block: bytes, begin: int, end: int) -> bytes:
        count, begin = end - begin, begin - self._column_begin
        times = struct.pack(f"<{count}q", *self._times[begin : begin + count])
        transactions = self._transactions[begin * _TRANSACTION.size : (begin + count) * _TRANSACTION.size]
        return b"".join((_RECORD.pack(self._oldest, count), transactions, times, block))

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the entries back from their state records."""
        raws = {_SEQUENCE.unpack_from(key, 1)[0]: raw for key, raw in records.items() if key[:1] == self._key}
        if not raws:
            return
        self._next = self._column_begin = min(raws)
        # Blocks may have gone since the newest was written.
        self._oldest = max(_RECORD.unpack_from(raws[max(raws)])[0], self._next)
        rows: defaultdict[str, list[bytes]] = defaultdict(list)
        for begin in sorted(raws):
            self._restore_block(begin, raws[begin], rows)
        self._written = self._next
        self._begin_at(self._oldest)
        self._kept = sum(map(len, rows.values()))
        for account_id, own in rows.items():
            self._give(account_id, self._bounded(b"".join(own[:-1])) + own[-1])

    def _restore_block(self, begin: int, raw: bytes, rows: Mapping[str, list[bytes]]) -> None:
        _, count = _RECORD.unpack_from(raw)
        end, known = begin + count, max(self._next - begin, 0)
        # A worker that had lost the partition may have written the same entries in other blocks.
        if known >= count or end <= self._oldest:
            self._dropped.append(begin)
            return
        first = max(begin + known, self._oldest)
        times_at = _RECORD.size + count * _TRANSACTION.size
        block_at = times_at + count * _TIME_BYTES
        transactions, block = raw[_RECORD.size : times_at], EntryBlock(raw[block_at:])
        times = struct.unpack_from(f"<{count}q", raw, times_at)
        if begin > self._next:
            self._times.extend([GONE_MS] * (begin - self._next))
            self._transactions += bytes((begin - self._next) * _TRANSACTION.size)
        self._times.extend(times[known:])
        self._transactions += transactions[known * _TRANSACTION.size :]
        self._begins.append(begin)
        self._blocks.append(block.raw)
        self._next = end
        self._taken(block)
        entries = zip(block.account_ids(), _TRANSACTION.iter_unpack(transactions), times, strict=True)
        for sequence, (account_id, (transaction,), time_ms) in enumerate(entries, begin):
            if sequence >= first and time_ms != GONE_MS:
                rows[account_id].append(transaction + _pack_sequence(sequence))

    def _block_key(self, begin: int) -> bytes:
        return self._key + _pack_sequence(begin)

    # -- of what is kept ----------------------------------------------------------------------------

    def _pack(self, entries: Sequence[_Entry]) -> bytes:
        """The block of these entries."""
        raise NotImplementedError

    def _give(self, account_id: str, latest: bytes) -> None:
        """Give an account what it has of its latest entries."""
        raise NotImplementedError

    def _forgotten(self, sequence: int) -> None:
        """An entry is no longer kept."""

    def _taken(self, block: EntryBlock) -> None:
        """A block is there now."""

    def _let_go_of(self, block: EntryBlock) -> None:
        """A block is no longer there."""
