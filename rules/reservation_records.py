"""The state records of reservations: blocks of those that were begun in one run, and records of those that changed.

A run writes what it begins with in one record. What changes later gets a record of its own, which counts before the
block. What is dropped while its block is kept leaves a note of that. A block goes, and such notes with it, when
nothing in it counts any more, or more than half of what it began with is dropped: what is left then gets records of
its own. So there are no more notes than reservations, but for those of the newest block, which stays: by it the next
is numbered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import orjson

from rules.account import Account
from rules.reservation_rows import BEGUN, BLOCK, BLOCK_AT, MARK_AT, OWN_RECORD, REST, ROW, TRANSACTION_BYTES

_BLOCK: Final = b"B"
_RECORD: Final = b"R"
_NUMBER: Final = struct.Struct(">Q")
# A block: how many rows it has. They follow as they began, and behind them JSON: whose they are, and the tails of
# those that have one, by their number.
_COUNT: Final = struct.Struct("<I")
_BEHIND_TRANSACTION: Final = slice(TRANSACTION_BYTES, None)


# A reservation as its state has it: whose it is, its row and its tail.
Kept = tuple[Account, bytes, bytes]


class ReservationRecords:
    """What changed since the last call, and which blocks are written."""

    def __init__(self, part: Callable[[str, int], Iterator[tuple[bytes, bytes]]]) -> None:
        """`part` gives the rows of an account in a block that have no record of their own, with their tails.

        From then on they have one.
        """
        self._part = part
        # What begins now goes into the next block: rows as they begin, whose they are, tails of those that have one.
        self._begun: list[bytes] = []
        self._begun_of: list[str] = []
        self._begun_tails: list[tuple[int, str]] = []
        self._next_block = 0
        self._rest = REST.pack(0, 0, 0)
        self._written: dict[bytes, bytes | None] = {}
        # How many in each block have no record of their own; of the next one, less those that are begun.
        self._left: dict[int, int] = {}
        # Whose they were that each block began with.
        self._accounts: dict[int, Sequence[str]] = {}
        # Of each block, those that were dropped; and the other way round.
        self._dropped: dict[int, dict[bytes, None]] = {}
        self._dropped_from: dict[bytes, int] = {}

    def begin(self, account_id: str, begun: bytes, tail: bytes) -> bytes:
        """Write a reservation that is new; returns its row as it is to be kept. Account ids are kept as they come."""
        row = begun + self._rest
        if self._dropped_from:
            key = _key(account_id, begun[:TRANSACTION_BYTES])
            block = self._dropped_from.pop(key, None)
            if block is not None:
                # It was there before, and its block still says so: what is said of it comes before that.
                del self._dropped[block][key]
                changed = bytearray(row)
                changed[MARK_AT] |= OWN_RECORD
                BLOCK.pack_into(changed, BLOCK_AT, block)
                self._written[key] = bytes(changed[_BEHIND_TRANSACTION]) + tail
                return bytes(changed)
        if tail:
            self._begun_tails.append((len(self._begun), tail.decode()))
        self._begun.append(begun)
        self._begun_of.append(account_id)
        return row

    def change(self, account_id: str, before: bytes, row: bytes, tail: bytes) -> None:
        """Write what became of a reservation, whose row was another `before`."""
        self._written[_key(account_id, row[:TRANSACTION_BYTES])] = row[_BEHIND_TRANSACTION] + tail
        if not before[MARK_AT] & OWN_RECORD:
            self._leave(block_of(before))

    def drop(self, account_id: str, row: bytes) -> None:
        """Write that a reservation is no more."""
        key, block = _key(account_id, row[:TRANSACTION_BYTES]), block_of(row)
        if block in self._left or block == self._next_block:
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
        if block not in self._accounts or block >= self._next_block - 1:
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
            block, begun, accounts, tails = self._next_block, self._begun, self._begun_of, self._begun_tails
            self._begun, self._begun_of, self._begun_tails = [], [], []
            self._number_from(block + 1)
            self._left[block] = self._left.get(block, 0) + len(begun)
            self._accounts[block] = accounts
            self._close(block - 1)
            yield (
                _BLOCK + _NUMBER.pack(block),
                b"".join((_COUNT.pack(len(begun)), *begun, orjson.dumps((accounts, tails)))),
            )
        written, self._written = self._written, {}
        yield from written.items()

    def restore(self, records: Mapping[bytes, bytes], get: Callable[[str], Account]) -> Iterator[Kept]:
        """Take everything back from the state records; gives the reservations, not those of an account together.

        `get` gives an account by its id.
        """
        for key, raw in records.items():
            if key[:1] == _BLOCK:
                (block,) = _NUMBER.unpack(key[1:])
                self._number_from(max(self._next_block, block + 1))
                begun = _unpacked(raw, REST.pack(0, 0, block), get)
                # A record of its own, or a note that it is gone, counts before what the block says.
                left = [kept for kept in begun if _key(kept[0].account_id, kept[1][:TRANSACTION_BYTES]) not in records]
                self._left[block] = len(left)
                self._accounts[block] = [account.account_id for account, _, _ in begun]
                yield from left
            elif key[:1] == _RECORD:
                if len(raw) == BLOCK.size:
                    (block,) = BLOCK.unpack(raw)
                    self._dropped.setdefault(block, {})[key] = None
                    self._dropped_from[key] = block
                    continue
                row = key[1 : 1 + TRANSACTION_BYTES] + raw[: ROW.size - TRANSACTION_BYTES]
                yield get(key[1 + TRANSACTION_BYTES :].decode()), row, raw[ROW.size - TRANSACTION_BYTES :]

    def _number_from(self, block: int) -> None:
        self._next_block, self._rest = block, REST.pack(0, 0, block)


def block_of(row: bytes) -> int:
    """The block that a row was first written in."""
    return BLOCK.unpack_from(row, BLOCK_AT)[0]


def _key(account_id: str, transaction: bytes) -> bytes:
    return _RECORD + transaction + account_id.encode()


def _unpacked(raw: bytes, rest: bytes, get: Callable[[str], Account]) -> list[Kept]:
    (count,) = _COUNT.unpack_from(raw)
    end = _COUNT.size + count * BEGUN.size
    account_ids, with_tail = orjson.loads(raw[end:])
    tails: dict[int, str] = dict(with_tail)
    starts = range(_COUNT.size, end, BEGUN.size)
    return [
        (get(account_id), raw[start : start + BEGUN.size] + rest, tails[number].encode() if number in tails else b"")
        for number, (account_id, start) in enumerate(zip(account_ids, starts, strict=True))
    ]
