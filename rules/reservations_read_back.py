"""Reservations as their state records tell of them, all at once.

There may be millions, so that what is done for each of them is done in columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from rules.account import Account
from rules.account_rows import TIME
from rules.accounts import Accounts
from rules.reservation_rows import DUE, DUE_AT, ROW, TRANSACTION_BYTES
from rules.reservation_state import (
    BLOCK_KIND,
    RECORD_KIND,
    Table,
    account_in,
    block_in,
    block_in_note,
    is_note,
    record_key,
    row_in,
    row_in_note,
    table_of,
    tail_in,
    unpack_block,
)


class ReadBack:
    """The reservations that there are, account by account, and what the blocks are like that tell of most of them.

    A record of its own, or a note that it is gone, counts before what a block says of a reservation. And a worker that
    had lost the partition may have written the same in other blocks: the first of them counts.
    """

    def __init__(self, records: Mapping[bytes, bytes], accounts: Accounts) -> None:
        """The accounts are new where they were never heard of."""
        blocks, own, notes = dict[int, bytes](), dict[bytes, bytes](), dict[bytes, int]()
        for key, raw in records.items():
            if key[:1] == BLOCK_KIND:
                blocks[block_in(key)] = raw
            elif key[:1] == RECORD_KIND and is_note(raw):
                notes[key] = block_in_note(raw)
            elif key[:1] == RECORD_KIND:
                own[key] = raw
        # The keys of those that are gone, with the blocks that still tell of them.
        self.notes: Mapping[bytes, int] = notes
        self._own = own
        # Whose all rows are: first those that are not of a block, then block by block.
        self._accounts = accounts.get_all([account_in(key) for key in chain(own, notes)])
        self._ends = [len(self._accounts)]
        self._tails: list[tuple[int, str]] = []
        rows = b"".join([*(row_in(key, raw) for key, raw in own.items()), *map(row_in_note, notes)])
        self._blocks, tables = sorted(blocks), [table_of(rows, ROW.size)]
        for number in self._blocks:
            block, end = unpack_block(number, blocks[number]), self._ends[-1]
            tables.append(block.rows)
            self._accounts += accounts.get_all(block.account_ids)
            self._tails += [(end + number, tail) for number, tail in block.tails]
            self._ends.append(len(self._accounts))
        self._table = np.concatenate(tables)
        # Neighbours in memory are neighbours here: which numbers these are makes no difference to anything.
        self._numbers = np.fromiter(map(id, self._accounts), np.int64, len(self._accounts))
        counts = _are_first(self._table, self._numbers)
        counts[len(own) : self._ends[0]] = False
        # Where the rows are that count.
        self._found = np.flatnonzero(counts)

    def rows(self) -> Iterator[tuple[Account, int, bytes]]:
        """Of each account when its rows are looked through, and these with that."""
        if not len(self._found):
            return
        found = self._found[np.argsort(self._numbers[self._found], kind="stable")]
        begins = np.flatnonzero(np.diff(self._numbers[found], prepend=-1))
        times_ms = np.minimum.reduceat(_column(self._table, DUE_AT)[found].view(np.int64), begins)
        times, rows = times_ms.astype(">i8").tobytes(), self._table.take(found, 0).tobytes()
        accounts, time_at, start = self._accounts, 0, 0
        ends = (np.append(begins[1:], len(found)) * ROW.size).tolist()
        for first, at_ms, end in zip(found[begins].tolist(), times_ms.tolist(), ends, strict=True):
            yield accounts[first], at_ms, times[time_at : time_at + TIME.size] + rows[start:end]
            time_at, start = time_at + TIME.size, end

    def tails(self) -> dict[bytes, bytes]:
        """The tails of those that have one, by the keys of their own records."""
        tails = {key: tail_in(raw) for key, raw in self._own.items()}
        tails = {key: tail for key, tail in tails.items() if tail}
        found = {*self._found.tolist()} if self._tails else ()
        for at, tail in self._tails:
            if at in found:
                transaction = self._table[at, :TRANSACTION_BYTES].tobytes()
                tails[record_key(self._accounts[at].account_id, transaction)] = tail.encode()
        return tails

    def accounts_of_blocks(self) -> dict[int, Sequence[Account]]:
        """Whose the reservations were that each block began with."""
        parts = pairwise(self._ends)
        return {block: self._accounts[start:end] for block, (start, end) in zip(self._blocks, parts, strict=True)}

    def left_in_blocks(self) -> dict[int, int]:
        """How many there are of which only their block tells, by block."""
        before_end = np.searchsorted(self._found, self._ends)
        return dict(zip(self._blocks, np.diff(before_end).tolist(), strict=True))


def _are_first(table: Table, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
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


def _column(table: Table, at: int) -> NDArray[np.uint64]:
    """Of each row the 8 bytes from `at` on, as a number."""
    return np.ascontiguousarray(table[:, at : at + DUE.size]).view("<u8").ravel()
