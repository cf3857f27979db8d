"""The bytes of a reservation: read as they were written, whatever became of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.reservation import Refund, Reservation, State
from rules.reservation_rows import pack_row, pack_tail, unpack
from rules.reservation_state import account_in, pack_record, record_key, row_in, tail_in

amounts = st.one_of(st.sampled_from([0, 1, 100]), st.integers(-(2**63), 2**63 - 1))
refunds = st.lists(st.builds(Refund, st.binary(min_size=8, max_size=8), amounts), max_size=3).map(tuple)


@st.composite
def reservations(draw: st.DrawFn) -> Reservation:
    state = draw(st.sampled_from(State))
    reserved, paid, captured, refunded = (draw(amounts) for _ in range(4))
    is_open = state is State.RESERVED
    return Reservation(
        transaction=draw(st.binary(min_size=8, max_size=8)),
        state=state,
        was_declined=draw(st.booleans()),
        told=draw(st.booleans()),
        expires=draw(st.booleans()),
        due_ms=draw(st.integers(0, 2**62)),
        paid_minor=paid,
        paid_currency=draw(st.sampled_from(["EUR", "JPY"])),
        currency=draw(st.sampled_from(["EUR", "JPY"])),
        reserved_minor=reserved,
        captured_minor=0 if is_open else draw(st.sampled_from([reserved, captured])),
        refunded_minor=0 if is_open else draw(st.sampled_from([0, refunded])),
        transaction_id=draw(st.text(max_size=12)) if is_open else "",
        refunds=() if is_open else draw(refunds),
        unreckoned=draw(st.booleans()),
    )


@given(reservations(), st.integers(0, 2**62), st.text(max_size=8))
def test_a_reservation_is_read_from_its_own_record_as_it_was_written(
    reservation: Reservation, block: int, account_id: str
) -> None:
    key = record_key(account_id, reservation.transaction)
    raw = pack_record(pack_row(reservation, block), pack_tail(reservation))
    assert (account_in(key), unpack(row_in(key, raw), tail_in(raw))) == (account_id, reservation)


@given(reservations())
def test_one_that_was_captured_as_a_whole_has_no_tail(reservation: Reservation) -> None:
    captured = reservation._replace(
        state=State.CAPTURED, captured_minor=reservation.reserved_minor, refunded_minor=0, refunds=(), transaction_id=""
    )
    assert pack_tail(captured) == b""
