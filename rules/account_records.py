"""The state records of what purchases change in their accounts: blocks, one for each run, and records of single ones.

A run writes one block for all accounts that it changed, and where these are few a record for each. Of what the state
says of an account the newest counts: each record has the number of changes that there had been when it was written. It
depends on what was read alone, and not on how that was cut into runs, so that what a worker has written that had lost
the partition is not taken for newer than it is. A block goes when it counts for few of its accounts only; those get
records of their own, which keep its number.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import orjson

from rules.account import Account

_BLOCK: Final = b"C"
_RECORD: Final = b"A"
_NUMBER: Final = struct.Struct(">Q")
# How many accounts are in a block. Behind that the newest purchase of each, the used credit of each, and JSON: their
# ids and currencies, one for all where they have the same. Numbers are in the machine's byte order, little-endian on
# all that Stopbank runs on.
_COUNT: Final = struct.Struct("<I")
_VALUE_BYTES: Final = 8
# A record for one: its number, newest purchase, used credit and its currency.
_ALONE_VALUES: Final = struct.Struct(">Qqq3s")

# So many accounts make a block.
_BLOCK_FROM: Final = 16
# A block goes when it counts for one in so many of its accounts, or fewer.
_SPARSE: Final = 8
_ALONE: Final = -1


class AccountRecords:
    """Which blocks are written, and for how many accounts each of them counts."""

    def __init__(self) -> None:
        # Of each block, its accounts and for how many of them it counts.
        self._members: dict[int, Sequence[Account]] = {}
        self._left: dict[int, int] = {}

    def changes(self, changed: Sequence[Account], number: int) -> Iterator[tuple[bytes, bytes | None]]:
        """State records of a run that changed these accounts, each once; `number` counts all changes until now."""
        left, in_block = self._left, len(changed) >= _BLOCK_FROM
        before, block = Counter([account.block for account in changed]), number if in_block else _ALONE
        del before[_ALONE]
        for sparser, fewer in before.items():
            left[sparser] -= fewer
        for account in changed:
            account.block = block
        if in_block:
            self._members[number], left[number] = changed, len(changed)
            yield _BLOCK + _NUMBER.pack(number), _pack_block(changed)
        else:
            for account in changed:
                yield _record(account, number)
        for sparser in before:
            if left[sparser] * _SPARSE <= len(self._members[sparser]):
                yield from self._close(sparser)

    def _close(self, block: int) -> Iterator[tuple[bytes, bytes | None]]:
        for account in self._members[block]:
            if account.block == block:
                account.block = _ALONE
                yield _record(account, block)
        del self._members[block], self._left[block]
        yield _BLOCK + _NUMBER.pack(block), None

    def restore(self, records: Mapping[bytes, bytes], get_all: Callable[[Sequence[str]], list[Account]]) -> int:
        """Take back what purchases changed in accounts; returns how many changes it were.

        `get_all` gives accounts by their ids.
        """
        own = {key: raw for key, raw in records.items() if key[:1] == _RECORD}
        alone = dict[Account, int]()
        for account, raw in zip(get_all([key[1:].decode() for key in own]), own.values(), strict=True):
            alone[account], account.latest_ms, account.used_minor, currency = _ALONE_VALUES.unpack(raw)
            account.currency = sys.intern(currency.rstrip(b"\0").decode())
        blocks = {_NUMBER.unpack_from(key, 1)[0]: raw for key, raw in records.items() if key[:1] == _BLOCK}
        last = max([*alone.values(), *blocks], default=0)
        for number in sorted(blocks, reverse=True):
            self._restore_block(number, blocks[number], alone, get_all)
        return last

    def _restore_block(
        self,
        number: int,
        raw: bytes,
        alone: Mapping[Account, int],
        get_all: Callable[[Sequence[str]], list[Account]],
    ) -> None:
        """Take back what the newest block says that is not read yet, where that is newer than an account's record."""
        account_ids, *values = _unpack_block(raw)
        self._members[number] = members = get_all(account_ids)
        left = 0
        for account, latest_ms, used_minor, currency in zip(members, *values, strict=True):
            if account.block < number and (not alone or alone.get(account, _ALONE) < number):
                account.block = number
                account.latest_ms, account.used_minor, account.currency = latest_ms, used_minor, currency
                left += 1
        self._left[number] = left


def _record(account: Account, number: int) -> tuple[bytes, bytes]:
    values = _ALONE_VALUES.pack(number, account.latest_ms, account.used_minor, account.currency.encode())
    return _RECORD + account.account_id.encode(), values


def _pack_block(accounts: Sequence[Account]) -> bytes:
    currencies = [account.currency for account in accounts]
    if currencies.count(currencies[0]) == len(currencies):
        del currencies[1:]
    times = array("q", [account.latest_ms for account in accounts])
    used = array("q", [account.used_minor for account in accounts])
    named = orjson.dumps(([account.account_id for account in accounts], currencies))
    return b"".join((_COUNT.pack(len(accounts)), times.tobytes(), used.tobytes(), named))


def _unpack_block(raw: bytes) -> tuple[list[str], array[int], array[int], list[str]]:
    """The ids of its accounts, their newest purchases, their used credit and their currencies."""
    (count,) = _COUNT.unpack_from(raw)
    used_at = _COUNT.size + count * _VALUE_BYTES
    end = used_at + count * _VALUE_BYTES
    account_ids, currencies = orjson.loads(raw[end:])
    currencies = [*map(sys.intern, currencies)]
    times, used = array("q", raw[_COUNT.size : used_at]), array("q", raw[used_at:end])
    return account_ids, times, used, currencies if len(currencies) == count else currencies * count
