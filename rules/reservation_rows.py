"""The bytes of a reservation: a row of fixed size and, where it has any, its tail."""

from __future__ import annotations

import struct
from typing import Final

from rules.reservation import Refund, Reservation, State

# Transaction, due, state with marks, currencies of the purchase and of the ruleset, paid, reserved: with this it
# begins. Behind it captured, refunded, and the block that it was first written in. Little-endian.
BEGUN: Final = struct.Struct("<8sqB3s3s2q")
REST: Final = struct.Struct("<3q")
ROW: Final = struct.Struct(BEGUN.format + REST.format[1:])
TRANSACTION_BYTES: Final = 8
DUE: Final = struct.Struct("<q")
DUE_AT: Final = 8
MARK_AT: Final = 16
BLOCK: Final = struct.Struct("<q")
BLOCK_AT: Final = ROW.size - BLOCK.size
_REFUND: Final = struct.Struct("<8sq")

_STATE_BITS: Final = 0x07
UNRECKONED: Final = 0x08
EXPIRES: Final = 0x10
WAS_DECLINED: Final = 0x20
TOLD: Final = 0x80
# It has a state record of its own, which counts before what its block says.
OWN_RECORD: Final = 0x40


def state_of(mark: int) -> State:
    """The state that a row's mark says."""
    return State(mark & _STATE_BITS)


def pack_row(reservation: Reservation, block: int) -> bytes:
    """The row of a reservation that has a state record of its own."""
    mark = reservation.state | OWN_RECORD | (EXPIRES if reservation.expires else 0)
    mark |= (WAS_DECLINED if reservation.was_declined else 0) | (TOLD if reservation.told else 0)
    mark |= UNRECKONED if reservation.unreckoned else 0
    return ROW.pack(
        reservation.transaction,
        reservation.due_ms,
        mark,
        reservation.paid_currency.encode(),
        reservation.currency.encode(),
        reservation.paid_minor,
        reservation.reserved_minor,
        reservation.captured_minor,
        reservation.refunded_minor,
        block,
    )


def pack_tail(reservation: Reservation) -> bytes:
    """What has no fixed size: the transaction's id while that is needed, later the refunds."""
    if reservation.transaction_id:
        return reservation.transaction_id.encode()
    return b"".join([_REFUND.pack(*refund) for refund in reservation.refunds]) if reservation.refunds else b""


def unpack(row: bytes | bytearray | memoryview, tail: bytes, offset: int = 0) -> Reservation:
    """The reservation of the row at an offset, and its tail."""
    transaction, due_ms, mark, paid_currency, currency, paid, reserved, captured, refunded, _ = ROW.unpack_from(
        row, offset
    )
    state = state_of(mark)
    return Reservation(
        transaction,
        state,
        bool(mark & WAS_DECLINED),
        bool(mark & TOLD),
        bool(mark & EXPIRES),
        due_ms,
        paid,
        paid_currency.decode(),
        currency.decode(),
        reserved,
        captured,
        refunded,
        tail.decode() if state is State.RESERVED else "",
        () if state is State.RESERVED else tuple(Refund(*parts) for parts in _REFUND.iter_unpack(tail)),
        bool(mark & UNRECKONED),
    )
