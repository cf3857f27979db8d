"""The bytes of a reservation: a row of fixed size and, where it has any, its tail."""

from __future__ import annotations

import struct
from typing import Final

from rules.reservation import Refund, Reservation, State

# Transaction, due, state with marks, currencies of the purchase and of the ruleset, paid, reserved: with this it
# begins. Behind it the block that it was first written in. Little-endian.
BEGUN: Final = struct.Struct("<8sqB6s2q")
ROW: Final = struct.Struct(f"{BEGUN.format}q")
TRANSACTION_BYTES: Final = 8
DUE: Final = struct.Struct("<q")
DUE_AT: Final = 8
MARK_AT: Final = 16
BLOCK: Final = struct.Struct("<q")
BLOCK_AT: Final = BEGUN.size
_CURRENCY_BYTES: Final = 3
# Captured and refunded.
_AMOUNTS: Final = struct.Struct("<2q")
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


def currencies_of(paid: str, own: str) -> bytes:
    """The currencies of a purchase and of its ruleset, as a row has them."""
    return (paid + own).encode()


def pack_row(reservation: Reservation, block: int) -> bytes:
    """The row of a reservation that has a state record of its own."""
    mark = reservation.state | OWN_RECORD | (EXPIRES if reservation.expires else 0)
    mark |= (WAS_DECLINED if reservation.was_declined else 0) | (TOLD if reservation.told else 0)
    mark |= UNRECKONED if reservation.unreckoned else 0
    return ROW.pack(
        reservation.transaction,
        reservation.due_ms,
        mark,
        currencies_of(reservation.paid_currency, reservation.currency),
        reservation.paid_minor,
        reservation.reserved_minor,
        block,
    )


def pack_tail(reservation: Reservation) -> bytes:
    """What most have not: the transaction's id while that is needed, later amounts that its state alone does not say.

    What was captured and refunded, and the refunds, where it was not all that was reserved, or was given back.
    """
    if reservation.state is State.RESERVED:
        return reservation.transaction_id.encode()
    amounts, refunds = (reservation.captured_minor, reservation.refunded_minor), reservation.refunds
    if not refunds and amounts == _amounts_in(reservation.state, reservation.reserved_minor):
        return b""
    return b"".join((_AMOUNTS.pack(*amounts), *[_REFUND.pack(*refund) for refund in refunds]))


def unpack(row: bytes | bytearray, tail: bytes, offset: int = 0) -> Reservation:
    """The reservation of the row at an offset, and its tail."""
    transaction, due_ms, mark, currencies, paid_minor, reserved_minor, _ = ROW.unpack_from(row, offset)
    state, named = state_of(mark), currencies.decode()
    transaction_id, refunds = "", ()
    captured_minor, refunded_minor = _amounts_in(state, reserved_minor)
    if state is State.RESERVED:
        transaction_id = tail.decode()
    elif tail:
        captured_minor, refunded_minor = _AMOUNTS.unpack_from(tail)
        refunds = tuple(Refund(*parts) for parts in _REFUND.iter_unpack(tail[_AMOUNTS.size :]))
    return Reservation(
        transaction,
        state,
        bool(mark & WAS_DECLINED),
        bool(mark & TOLD),
        bool(mark & EXPIRES),
        due_ms,
        paid_minor,
        named[:_CURRENCY_BYTES],
        named[_CURRENCY_BYTES:],
        reserved_minor,
        captured_minor,
        refunded_minor,
        transaction_id,
        refunds,
        bool(mark & UNRECKONED),
    )


def _amounts_in(state: State, reserved_minor: int) -> tuple[int, int]:
    """What is captured and refunded of nearly all reservations in a state."""
    return reserved_minor if state is State.CAPTURED else 0, 0
