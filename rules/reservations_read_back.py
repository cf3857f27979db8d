"""Reservations as their state records tell of them, all at once.

There may be millions, so that what is done for each of them is done in columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.account import Account
from rules.account_rows import TIME
from rules.accounts import Accounts
from rules.reservation_rows import BEGUN, BLOCK, DUE, DUE_AT, ROW, TRANSACTION_BYTES
from rules.reservation_state import (
    BLOCK_KIND,
    RECORD_KIND,
    Block,
    account_in,
    block_in,
    block_in_note,
    is_note,
    record_key,
    row_in,
    row_in_note,
    tail_in,
    unpack_block,
)

_TRANSACTION: Final = slice(0, TRANSACTION_BYTES)

# Rows, one below the other.
_Table = NDArray[np.uint8]


class ReadBack:
    """The reservations that there are, account by account, and what the blocks are like that tell of most of them.

    A record of its own, or a note that it is gone, counts before what a block says of a reservation. And a worker that
    had lost the partition may have written the same in other blocks: the first of them counts.
    """

    def __init__(self, records: Mapping[bytes, bytes], accounts: Accounts) -> None:
        """The accounts are new where they were never heard of."""
        blocks, own, notes = dict[int, Block](), dict[bytes, bytes](), dict[bytes, int]()
        for key, raw in records.items():
            if key[:1] == BLOCK_KIND:
                blocks[block_in(key)] = unpack_block(raw)
            elif key[:1] == RECORD_KIND and is_note(raw):
                notes[key] = block_in_note(raw)
            elif key[:1] == RECORD_KIND:
                own[key] = raw
        blocks = dict(sorted(blocks.items()))
        # The keys of those that are gone, with the blocks that still tell of them.
        self.notes: Mapping[bytes, int] = notes
        self._own, self._blocks, self._ahead = own, blocks, len(own) + len(notes)
        of_blocks = chain.from_iterable(block.account_ids for block in blocks.values())
        self._accounts = accounts.get_all([*map(account_in, own), *map(account_in, notes), *of_blocks])
        self._table = np.concatenate(
            (
                _table(chain((row_in(key, raw) for key, raw in own.items()), map(row_in_note, notes)), ROW.size),
                _table_of_blocks(blocks),
            )
        )
        # Neighbours in memory are neighbours here: which numbers these are makes no difference to anything.
        self._numbers = np.fromiter(map(id, self._accounts), np.int64, len(self._accounts))
        counts = _are_first(self._table, self._numbers)
        counts[len(own) : self._ahead] = False
        # Where the rows are that count.
        self._found = np.flatnonzero(counts)

    def rows(self) -> Iterator[tuple[Account, int, bytes]]:
        """Of each account when its rows are looked through, and these with that."""
        if not len(self._found):
            return
        found = self._found[np.argsort(self._numbers[self._found], kind="stable")]
        table, numbers, accounts = self._table.take(found, 0), self._numbers[found], self._accounts
        begins = np.flatnonzero(np.diff(numbers, prepend=-1))
        times_ms = np.minimum.reduceat(_column(table, DUE_AT).view(np.int64), begins)
        times, rows = times_ms.astype(">i8").tobytes(), table.tobytes()
        time_at, start = 0, 0
        ends = (np.append(begins[1:], len(table)) * ROW.size).tolist()
        for first, at_ms, end in zip(found[begins].tolist(), times_ms.tolist(), ends, strict=True):
            yield accounts[first], at_ms, times[time_at : time_at + TIME.size] + rows[start:end]
            time_at, start = time_at + TIME.size, end

    def tails(self) -> dict[bytes, bytes]:
        """The tails of those that have one, by the keys of their own records."""
        tails = {key: tail_in(raw) for key, raw in self._own.items() if len(raw) > ROW.size - TRANSACTION_BYTES}
        found = {*self._found.tolist()} if any(block.tails for block in self._blocks.values()) else ()
        for start, block in zip(self._starts(), self._blocks.values(), strict=False):
            for number, tail in block.tails:
                if start + number in found:
                    transaction = self._table[start + number, _TRANSACTION].tobytes()
                    tails[record_key(block.account_ids[number], transaction)] = tail.encode()
        return tails

    def accounts_of_blocks(self) -> dict[int, Sequence[Account]]:
        """Whose the reservations were that each block began with, blocks in order."""
        parts = pairwise(self._starts())
        return {block: self._accounts[start:end] for block, (start, end) in zip(self._blocks, parts, strict=True)}

    def left_in_blocks(self) -> dict[int, int]:
        """How many there are of which only their block tells, by block."""
        edges = np.array(self._starts())
        # Edges of blocks that lie side by side: whatever is ahead of the first is in none.
        return dict(zip(self._blocks, np.diff(np.searchsorted(self._found, edges)).tolist(), strict=True))

    def _starts(self) -> list[int]:
        """Where the rows of each block begin, and the end of all."""
        return [*accumulate((len(block.account_ids) for block in self._blocks.values()), initial=self._ahead)]


def _table(rows: Iterable[bytes], row_bytes: int) -> _Table:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, row_bytes)


def _table_of_blocks(blocks: Mapping[int, Block]) -> _Table:
    begun = _table([block.rows for block in blocks.values()], BEGUN.size)
    counts = [len(block.account_ids) for block in blocks.values()]
    numbers = np.fromiter(blocks, "<i8", len(blocks)).repeat(counts)
    return np.hstack((begun, numbers.view(np.uint8).reshape(-1, BLOCK.size)))


def _are_first(table: _Table, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows come first of their account and transaction."""
    transactions = _column(table, 0)
    order = np.argsort(transactions)
    again = np.flatnonzero(np.diff(transactions[order]) == 0)
    # Nearly all transactions have one row: only the others are told apart by their accounts.
    several = np.unique(np.concatenate((order[again], order[again + 1])))
    several = several[np.lexsort((transactions[several], numbers[several]))]
    number, transaction = numbers[several], transactions[several]
    same = (number[1:] == number[:-1]) & (transaction[1:] == transaction[:-1])
    first = np.ones(len(table), bool)
    first[several[1:][same]] = False
    return first


def _column(table: _Table, at: int) -> NDArray[np.uint64]:
    """Of each row the 8 bytes from `at` on, as a number."""
    return np.ascontiguousarray(table[:, at : at + DUE.size]).view("<u8").ravel()
