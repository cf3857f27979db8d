"""The state records of reservations: blocks of those that were begun in one run, and records of those that changed.

A run writes what it begins with in one record. What changes later gets a record of its own, which counts before the
block. What is dropped while its block is kept leaves a note of that. A block goes, and such notes with it, when
nothing in it counts any more, or more than half of what it began with is dropped: what is left then gets records of
its own. So there are no more notes than reservations, but for those of the newest block, which stays: by it the next
is numbered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from rules.reservation_rows import BLOCK, BLOCK_AT, MARK_AT, OWN_RECORD, ROW, TRANSACTION_BYTES

_BLOCK: Final = b"B"
_RECORD: Final = b"R"
_NUMBER: Final = struct.Struct(">Q")
_LENGTHS: Final = struct.Struct("<HH")
_BEHIND_TRANSACTION: Final = slice(TRANSACTION_BYTES, None)


class Kept(NamedTuple):
    """A reservation as its state has it."""

    account_id: str
    row: bytes
    tail: bytes


class ReservationRecords:
    """What changed since the last call, and which blocks are written. `next_block` is where it goes what begins now."""

    def __init__(self, part: Callable[[str, int], Iterator[tuple[bytes, bytes]]]) -> None:
        """`part` gives the rows of an account in a block that have no record of their own, with their tails.

        From then on they have one.
        """
        self.next_block = 0
        self._part = part
        self._begun: list[tuple[str, bytes, bytes]] = []
        self._written: dict[bytes, bytes | None] = {}
        # How many in each block have no record of their own; of the next one, less those that are begun.
        self._left: dict[int, int] = {}
        # Whose they were that each block began with.
        self._accounts: dict[int, list[str]] = {}
        # Of each block, those that were dropped; and the other way round.
        self._dropped: dict[int, dict[bytes, None]] = {}
        self._dropped_from: dict[bytes, int] = {}

    def begin(self, account_id: str, row: bytes, tail: bytes) -> bytes:
        """Write a reservation that is new; returns its row as it is to be kept."""
        key = _key(account_id, row[:TRANSACTION_BYTES]) if self._dropped_from else b""
        block = self._dropped_from.pop(key, None)
        if block is None:
            self._begun.append((account_id, row, tail))
            return row
        # It was there before, and its block still says so: what is said of it comes before that.
        del self._dropped[block][key]
        changed = bytearray(row)
        changed[MARK_AT] |= OWN_RECORD
        BLOCK.pack_into(changed, BLOCK_AT, block)
        self._written[key] = bytes(changed[_BEHIND_TRANSACTION]) + tail
        return bytes(changed)

    def change(self, account_id: str, before: bytes, row: bytes, tail: bytes) -> None:
        """Write what became of a reservation, whose row was another `before`."""
        self._written[_key(account_id, row[:TRANSACTION_BYTES])] = row[_BEHIND_TRANSACTION] + tail
        if not before[MARK_AT] & OWN_RECORD:
            self._leave(block_of(before))

    def drop(self, account_id: str, row: bytes) -> None:
        """Write that a reservation is no more."""
        key, block = _key(account_id, row[:TRANSACTION_BYTES]), block_of(row)
        if block in self._left or block == self.next_block:
            self._written[key] = BLOCK.pack(block)
            self._dropped.setdefault(block, {})[key] = None
            self._dropped_from[key] = block
        else:
            self._written[key] = None
        if not row[MARK_AT] & OWN_RECORD:
            self._leave(block)
        else:
            self._close(block)

    def _leave(self, block: int) -> None:
        self._left[block] = self._left.get(block, 0) - 1
        self._close(block)

    def _close(self, block: int) -> None:
        """Delete a block where nothing in it counts, or most of it is dropped, unless it is the newest."""
        if block not in self._accounts or block >= self.next_block - 1:
            return
        accounts = self._accounts[block]
        if self._left[block]:
            if 2 * len(self._dropped.get(block, ())) <= len(accounts):
                return
            for account_id in dict.fromkeys(accounts):
                for row, tail in self._part(account_id, block):
                    self._written[_key(account_id, row[:TRANSACTION_BYTES])] = row[_BEHIND_TRANSACTION] + tail
        del self._left[block], self._accounts[block]
        self._written[_BLOCK + _NUMBER.pack(block)] = None
        for key in self._dropped.pop(block, ()):
            del self._dropped_from[key]
            self._written[key] = None

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        if self._begun:
            begun, self._begun = self._begun, []
            block, self.next_block = self.next_block, self.next_block + 1
            self._left[block] = self._left.get(block, 0) + len(begun)
            self._accounts[block] = [account_id for account_id, _, _ in begun]
            self._close(block - 1)
            yield _BLOCK + _NUMBER.pack(block), b"".join([_packed(*kept) for kept in begun])
        written, self._written = self._written, {}
        yield from written.items()

    def restore(self, records: Mapping[bytes, bytes]) -> Iterator[Kept]:
        """Take everything back from the state records; gives the reservations."""
        begun: dict[bytes, tuple[int, Kept]] = {}
        for key, raw in records.items():
            if key[:1] == _BLOCK:
                (block,) = _NUMBER.unpack(key[1:])
                entries = {
                    _key(kept.account_id, kept.row[:TRANSACTION_BYTES]): (block, kept) for kept in _unpacked(raw)
                }
                self._left[block] = len(entries)
                self._accounts[block] = [kept.account_id for _, kept in entries.values()]
                self.next_block = max(self.next_block, block + 1)
                begun |= entries
        for key, raw in records.items():
            if key[:1] != _RECORD:
                continue
            if key in begun:
                self._left[begun.pop(key)[0]] -= 1
            if len(raw) == BLOCK.size:
                (block,) = BLOCK.unpack(raw)
                self._dropped.setdefault(block, {})[key] = None
                self._dropped_from[key] = block
                continue
            row = key[1 : 1 + TRANSACTION_BYTES] + raw[: ROW.size - TRANSACTION_BYTES]
            yield Kept(key[1 + TRANSACTION_BYTES :].decode(), row, raw[ROW.size - TRANSACTION_BYTES :])
        for _, kept in begun.values():
            yield kept


def block_of(row: bytes) -> int:
    """The block that a row was first written in."""
    return BLOCK.unpack_from(row, BLOCK_AT)[0]


def _key(account_id: str, transaction: bytes) -> bytes:
    return _RECORD + transaction + account_id.encode()


def _packed(account_id: str, row: bytes, tail: bytes) -> bytes:
    account = account_id.encode()
    return b"".join((_LENGTHS.pack(len(account), len(tail)), row, account, tail))


def _unpacked(raw: bytes) -> Iterator[Kept]:
    offset = 0
    while offset < len(raw):
        account_length, tail_length = _LENGTHS.unpack_from(raw, offset)
        begin = offset + _LENGTHS.size + ROW.size
        middle = begin + account_length
        row = raw[offset + _LENGTHS.size : begin]
        yield Kept(raw[begin:middle].decode(), row, raw[middle : middle + tail_length])
        offset = middle + tail_length
