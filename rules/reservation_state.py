"""The keys and the bytes of the state records of reservations."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from rules.account import Account
from rules.reservation_rows import BEGUN, BLOCK, ROW, TRANSACTION_BYTES

BLOCK_KIND: Final = b"B"
RECORD_KIND: Final = b"R"
_NUMBER: Final = struct.Struct(">Q")
# A block: how many rows it has. They follow as they began, and behind them JSON: whose they are, and the tails of
# those that have one, by their number.
_COUNT: Final = struct.Struct("<I")
_BEHIND_TRANSACTION: Final = slice(TRANSACTION_BYTES, None)
_TRANSACTION: Final = slice(len(RECORD_KIND), len(RECORD_KIND) + TRANSACTION_BYTES)
_ACCOUNT: Final = slice(_TRANSACTION.stop, None)
# A record of its own has the row without its transaction, and then the tail.
_ROW_END: Final = ROW.size - TRANSACTION_BYTES


# Rows, one below the other.
Table = NDArray[np.uint8]


class Block(NamedTuple):
    """Reservations that began in one run: their rows, whose they are, and the tails by the rows' numbers."""

    rows: Table
    account_ids: list[str]
    tails: list[tuple[int, str]]


def block_key(block: int) -> bytes:
    """The key of a block."""
    return BLOCK_KIND + _NUMBER.pack(block)


def block_in(key: bytes) -> int:
    """The block that a key is of."""
    return _NUMBER.unpack_from(key, len(BLOCK_KIND))[0]


def pack_block(rows: Sequence[bytes], accounts: Iterable[Account], tails: Sequence[tuple[int, str]]) -> bytes:
    """A block of these rows. Each of them says in which block it is; that is not written once more."""
    begun = table_of(b"".join(rows), ROW.size)[:, : BEGUN.size].tobytes()
    account_ids = [account.account_id for account in accounts]
    return b"".join((_COUNT.pack(len(rows)), begun, orjson.dumps((account_ids, tails))))


def unpack_block(block: int, raw: bytes) -> Block:
    """What `pack_block` made a block of."""
    end = _COUNT.size + _COUNT.unpack_from(raw)[0] * BEGUN.size
    begun = table_of(raw[_COUNT.size : end], BEGUN.size)
    rows = np.empty((len(begun), ROW.size), np.uint8)
    rows[:, : BEGUN.size] = begun
    rows[:, BEGUN.size :] = np.frombuffer(BLOCK.pack(block), np.uint8)
    return Block(rows, *orjson.loads(raw[end:]))


def table_of(rows: bytes, row_bytes: int) -> Table:
    """Rows of one size, that lie one behind the other, as a table."""
    return np.frombuffer(rows, np.uint8).reshape(-1, row_bytes)


def record_key(account_id: str, transaction: bytes) -> bytes:
    """The key of a reservation's own record."""
    return RECORD_KIND + transaction + account_id.encode()


def account_in(key: bytes) -> str:
    """Whose reservation the key of its own record is of."""
    return key[_ACCOUNT].decode()


def pack_record(row: bytes, tail: bytes) -> bytes:
    """A reservation's own record."""
    return row[_BEHIND_TRANSACTION] + tail


def row_in(key: bytes, raw: bytes) -> bytes:
    """The row of a reservation that has its own record."""
    return key[_TRANSACTION] + raw[:_ROW_END]


def tail_in(raw: bytes) -> bytes:
    """The tail of a reservation that has its own record."""
    return raw[_ROW_END:]


def pack_note(block: int) -> bytes:
    """What is left of a reservation that is gone, while its block still tells of it."""
    return BLOCK.pack(block)


def is_note(raw: bytes) -> bool:
    """Whether a record says that a reservation is gone."""
    return len(raw) == BLOCK.size


def block_in_note(raw: bytes) -> int:
    """The block that still tells of a reservation that is gone."""
    return BLOCK.unpack(raw)[0]


def row_in_note(key: bytes) -> bytes:
    """A row that says of a reservation that is gone only which it was."""
    return key[_TRANSACTION].ljust(ROW.size, b"\0")
