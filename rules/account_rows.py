"""An account's reservations in one piece: when they are looked through next, and behind that their rows.

They are bytes while they are few, so that they lie tightly, and a byte array where they are many, so that they are not
copied for each that comes.
"""

from __future__ import annotations

import struct
from typing import Final

from rules.reservation_rows import DUE, DUE_AT, ROW, TRANSACTION_BYTES

Rows = bytes | bytearray

# In this form times are in order as bytes.
TIME: Final = struct.Struct(">q")
ROW_BYTES: Final = ROW.size
FEW_BYTES: Final = TIME.size + 8 * ROW_BYTES


def looked_at_ms(rows: Rows) -> int:
    """When the rows are looked through next, epoch milliseconds: not later than the first of them is due."""
    return TIME.unpack_from(rows)[0]


def looked_at(rows: Rows, at_ms: int) -> Rows:
    """The rows, to be looked through at this time."""
    return TIME.pack(at_ms) + rows[TIME.size :]


def offsets(rows: Rows) -> range:
    """Where the rows begin."""
    return range(TIME.size, len(rows), ROW_BYTES)


def offset_of(rows: Rows, transaction: bytes) -> int:
    """Where the row of a transaction begins; -1 where there is none."""
    offset = rows.find(transaction, TIME.size)
    while offset >= 0 and (offset - TIME.size) % ROW_BYTES:
        offset = rows.find(transaction, offset + 1)
    return offset


def transaction_at(rows: Rows, offset: int) -> bytes:
    """The transaction of a row."""
    return bytes(rows[offset : offset + TRANSACTION_BYTES])


def row_at(rows: Rows, offset: int) -> bytes:
    """A row by itself."""
    return bytes(rows[offset : offset + ROW_BYTES])


def due_at(rows: Rows, offset: int) -> tuple[int, bytes]:
    """When a row is due, and its transaction: the order in which rows are told of."""
    return DUE.unpack_from(rows, offset + DUE_AT)[0], transaction_at(rows, offset)


def first_due(rows: Rows) -> int:
    """Where the row begins that is due first."""
    return min(offsets(rows), key=lambda offset: due_at(rows, offset))


def with_row(rows: Rows, row: bytes) -> bytearray:
    """The rows, of which there are many, with one more; a byte array is changed."""
    if isinstance(rows, bytes):
        rows = bytearray(rows)
    rows += row
    return rows


def with_row_at(rows: Rows, offset: int, row: bytes) -> Rows:
    """The rows with another in the place of one."""
    return rows[:offset] + row + rows[offset + ROW_BYTES :]


def without_row(rows: Rows, offset: int) -> Rows:
    """The rows without one; nothing where it was the last."""
    return rows[:offset] + rows[offset + ROW_BYTES :] if len(rows) > TIME.size + ROW_BYTES else b""
