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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import orjson

from rules.account import Account

_BLOCK: Final = b"C"
_RECORD: Final = b"A"
_NUMBER: Final = struct.Struct(">Q")
# How many accounts are in a block. Their values follow, and behind them their ids as JSON.
_COUNT: Final = struct.Struct("<I")
# Newest purchase, used credit and its currency.
_VALUES: Final = struct.Struct("<qq3s")

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
        left, sparser = self._left, dict[int, None]()
        in_block = len(changed) >= _BLOCK_FROM
        for account in changed:
            if account.block >= 0:
                left[account.block] -= 1
                sparser[account.block] = None
            account.block = number if in_block else _ALONE
        if in_block:
            self._members[number], left[number] = changed, len(changed)
            values, ids = map(_values_of, changed), [account.account_id for account in changed]
            yield _BLOCK + _NUMBER.pack(number), b"".join((_COUNT.pack(len(ids)), *values, orjson.dumps(ids)))
        else:
            for account in changed:
                yield _record(account, number)
        for block in sparser:
            if left[block] * _SPARSE <= len(self._members[block]):
                yield from self._close(block)

    def _close(self, block: int) -> Iterator[tuple[bytes, bytes | None]]:
        for account in self._members[block]:
            if account.block == block:
                account.block = _ALONE
                yield _record(account, block)
        del self._members[block], self._left[block]
        yield _BLOCK + _NUMBER.pack(block), None

    def restore(self, records: Mapping[bytes, bytes], get: Callable[[str], Account]) -> int:
        """Take back what purchases changed in accounts, by their ids from `get`; returns how many changes it were."""
        own: dict[str, int] = {}
        blocks: dict[int, bytes] = {}
        for key, raw in records.items():
            kind = key[:1]
            if kind == _RECORD:
                account_id = key[1:].decode()
                (own[account_id],) = _NUMBER.unpack_from(raw)
                _restore_values(get(account_id), raw, _NUMBER.size)
            elif kind == _BLOCK:
                (number,) = _NUMBER.unpack_from(key, 1)
                blocks[number] = raw
        for number in sorted(blocks):
            self._restore_block(number, blocks[number], own, get)
        for number, members in self._members.items():
            self._left[number] = sum(account.block == number for account in members)
        return max([*own.values(), *blocks], default=0)

    def _restore_block(self, number: int, raw: bytes, own: Mapping[str, int], get: Callable[[str], Account]) -> None:
        (count,) = _COUNT.unpack_from(raw)
        offset = _COUNT.size
        self._members[number] = members = list[Account]()
        for account_id in orjson.loads(raw[offset + count * _VALUES.size :]):
            account = get(account_id)
            members.append(account)
            if own.get(account_id, _ALONE) < number:
                account.block = number
                _restore_values(account, raw, offset)
            offset += _VALUES.size


def _record(account: Account, number: int) -> tuple[bytes, bytes]:
    return _RECORD + account.account_id.encode(), _NUMBER.pack(number) + _values_of(account)


def _values_of(account: Account) -> bytes:
    return _VALUES.pack(account.latest_ms, account.used_minor, account.currency.encode())


def _restore_values(account: Account, raw: bytes, offset: int) -> None:
    account.latest_ms, account.used_minor, currency = _VALUES.unpack_from(raw, offset)
    # One text for all accounts.
    account.currency = sys.intern(currency.rstrip(b"\0").decode())
