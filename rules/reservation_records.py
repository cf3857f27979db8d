"""The state records of reservations: blocks of those that were begun in one run, and records of those that changed.

A run writes what it begins with in one record. What changes later gets a record of its own, which counts before the
block. What is dropped while its block is kept leaves a note of that. A block goes, and such notes with it, when
nothing in it counts any more, or more than half of what it began with is dropped: what is left then gets records of
its own. So there are no more notes than reservations, but for those of the newest block, which stays: by it the next
is numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rules.account import Account
from rules.reservation_rows import BLOCK, BLOCK_AT, MARK_AT, OWN_RECORD, TRANSACTION_BYTES
from rules.reservation_state import (
    block_key,
    pack_block,
    pack_note,
    pack_record,
    record_key,
)
from rules.reservations_read_back import ReadBack


class ReservationRecords:
    """What changed since the last call, and which blocks are written."""

    def __init__(self, part: Callable[[Account, int], Iterator[tuple[bytes, bytes]]]) -> None:
        """`part` gives the rows of an account in a block that have no record of their own, with their tails.

        From then on they have one.
        """
        self._part = part
        # What begins now goes into this block: its rows, whose they are, tails of those that have one.
        self.next_block = 0
        self._begun: list[bytes] = []
        self._begun_of: list[Account] = []
        self._begun_tails: list[tuple[int, str]] = []
        self._written: dict[bytes, bytes | None] = {}
        # How many in each block have no record of their own; of the next one, less those that are begun.
        self._left: dict[int, int] = {}
        # Whose they were that each block began with.
        self._accounts: dict[int, Sequence[Account]] = {}
        # Of each block, those that were dropped; and the other way round.
        self._dropped: dict[int, dict[bytes, None]] = {}
        self._dropped_from: dict[bytes, int] = {}

    def begin(self, account: Account, row: bytes, tail: str) -> bytes:
        """Write a reservation that is new, of the block `next_block`; returns its row as it is to be kept."""
        if self._dropped_from:
            key = record_key(account.account_id, row[:TRANSACTION_BYTES])
            block = self._dropped_from.pop(key, None)
            if block is not None:
                # It was there before, and its block still says so: what is said of it comes before that.
                del self._dropped[block][key]
                changed = bytearray(row)
                changed[MARK_AT] |= OWN_RECORD
                BLOCK.pack_into(changed, BLOCK_AT, block)
                self._written[key] = pack_record(bytes(changed), tail.encode())
                return bytes(changed)
        if tail:
            self._begun_tails.append((len(self._begun), tail))
        self._begun.append(row)
        self._begun_of.append(account)
        return row

    def change(self, key: bytes, before: bytes, row: bytes, tail: bytes) -> None:
        """Write what became of a reservation, whose row was another `before`."""
        self._written[key] = pack_record(row, tail)
        if not before[MARK_AT] & OWN_RECORD:
            self._leave(block_of(before))

    def drop(self, key: bytes, row: bytes) -> None:
        """Write that a reservation is no more."""
        block = block_of(row)
        if block in self._left or block == self.next_block:
            self._written[key] = pack_note(block)
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
            for account in dict.fromkeys(accounts):
                for row, tail in self._part(account, block):
                    key = record_key(account.account_id, row[:TRANSACTION_BYTES])
                    self._written[key] = pack_record(row, tail)
        del self._left[block], self._accounts[block]
        self._written[block_key(block)] = None
        for key in self._dropped.pop(block, ()):
            del self._dropped_from[key]
            self._written[key] = None

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        if self._begun:
            block, begun, accounts, tails = self.next_block, self._begun, self._begun_of, self._begun_tails
            self._begun, self._begun_of, self._begun_tails = [], [], []
            self.next_block = block + 1
            self._left[block] = self._left.get(block, 0) + len(begun)
            self._accounts[block] = accounts
            self._close(block - 1)
            yield block_key(block), pack_block(begun, accounts, tails)
        written, self._written = self._written, {}
        yield from written.items()

    def restore(self, read: ReadBack) -> None:
        """Take back which blocks are written, and what was dropped from them."""
        self._accounts, self._left = read.accounts_of_blocks(), read.left_in_blocks()
        self.next_block = max(self._accounts, default=-1) + 1
        for key, block in read.notes.items():
            self._dropped.setdefault(block, {})[key] = None
            self._dropped_from[key] = block


def block_of(row: bytes) -> int:
    """The block that a row was first written in."""
    return BLOCK.unpack_from(row, BLOCK_AT)[0]
