"""An account's reservations in one piece: when they are looked through next, their bodies, and their transactions.

They are bytes while they are few, so that they lie tightly, and a byte array where they are many, so that they are not
copied for each that comes. Transactions lie side by side, because each purchase is looked for among them.
"""

from __future__ import annotations

import struct
from typing import Final

from rules.reservation_rows import BODY, DUE, ROW, TRANSACTION_BYTES

Rows = bytes | bytearray

# In this form times are in order as bytes.
TIME: Final = struct.Struct(">q")
ROW_BYTES: Final = ROW.size
BODY_BYTES: Final = BODY.size
TIME_BYTES: Final = TIME.size
_FEW_BYTES: Final = TIME_BYTES + 8 * ROW_BYTES


def looked_at_ms(rows: Rows) -> int:
    """When the rows are looked through next, epoch milliseconds: not later than the first of them is due."""
    return TIME.unpack_from(rows)[0]


def looked_at(rows: Rows, at_ms: int) -> Rows:
    """The rows, to be looked through at this time."""
    return TIME.pack(at_ms) + rows[TIME_BYTES:]


def numbers(rows: Rows) -> range:
    """By which numbers the rows are told apart, until one of them goes."""
    # The time is less than a row.
    return range(len(rows) // ROW_BYTES)


def number_of(rows: Rows, transaction: bytes) -> int:
    """The number of the row of a transaction; -1 where there is none."""
    begin = offset_of(len(rows) // ROW_BYTES)
    offset = rows.find(transaction, begin)
    while offset >= 0 and (offset - begin) % TRANSACTION_BYTES:
        offset = rows.find(transaction, offset + 1)
    return (offset - begin) // TRANSACTION_BYTES if offset >= 0 else -1


def offset_of(number: int) -> int:
    """Where the body of a row begins; behind the last the transactions do."""
    return TIME_BYTES + number * BODY_BYTES


def transaction_at(rows: Rows, number: int) -> bytes:
    """The transaction of a row."""
    begin = _transaction_offset(rows, number)
    return bytes(rows[begin : begin + TRANSACTION_BYTES])


def row_at(rows: Rows, number: int) -> bytes:
    """A row by itself."""
    begin = offset_of(number)
    return transaction_at(rows, number) + rows[begin : begin + BODY_BYTES]


def due_at(rows: Rows, number: int) -> tuple[int, bytes]:
    """When a row is due, and its transaction: the order in which rows are told of."""
    return DUE.unpack_from(rows, offset_of(number))[0], transaction_at(rows, number)


def first_due(rows: Rows) -> int:
    """The number of the row that is due first."""
    return min(numbers(rows), key=lambda number: due_at(rows, number))


def with_row(rows: Rows, transaction: bytes, body: bytes) -> Rows:
    """The rows with one more; a byte array is changed."""
    begin = TIME_BYTES + len(rows) // ROW_BYTES * BODY_BYTES
    if len(rows) < _FEW_BYTES:
        return b"".join((rows[:begin], body, rows[begin:], transaction))
    if isinstance(rows, bytes):
        rows = bytearray(rows)
    rows[begin:begin] = body
    rows += transaction
    return rows


def with_row_at(rows: Rows, number: int, row: bytes) -> Rows:
    """The rows with another of the same transaction in the place of one."""
    begin = offset_of(number)
    return rows[:begin] + row[TRANSACTION_BYTES:] + rows[begin + BODY_BYTES :]


def without_row(rows: Rows, number: int) -> Rows:
    """The rows without one; nothing where it was the last."""
    # With its time one row is less than two.
    if len(rows) < 2 * ROW_BYTES:
        return b""
    begin, end = offset_of(number), _transaction_offset(rows, number)
    return rows[:begin] + rows[begin + BODY_BYTES : end] + rows[end + TRANSACTION_BYTES :]


def _transaction_offset(rows: Rows, number: int) -> int:
    return offset_of(len(rows) // ROW_BYTES) + number * TRANSACTION_BYTES
