"""What a settlement does to a reservation, as a table: state, amounts, what is freed, and why it is refused."""

from __future__ import annotations

import pytest

from rules.entity_books import Book
from rules.reservation import MAX_REFUNDS, Done, Refund, Reservation, State, capture, expire, refund, void

RESERVED = Reservation(
    transaction=b"transact",
    state=State.RESERVED,
    was_declined=False,
    told=False,
    expires=True,
    due_ms=1_000,
    paid_minor=100,
    paid_currency="CNY",
    currency="CNY",
    reserved_minor=100,
    transaction_id="t-1",
)
CAPTURED = RESERVED._replace(state=State.CAPTURED, captured_minor=60, expires=False, transaction_id="")
HALF_BACK = CAPTURED._replace(refunded_minor=30, refunds=(Refund(b"refund-1", 30),))
REFUNDED = HALF_BACK._replace(
    state=State.REFUNDED, refunded_minor=60, refunds=(Refund(b"refund-1", 30), Refund(b"refund-2", 30))
)
VOIDED = RESERVED._replace(state=State.VOIDED, expires=False, transaction_id="")
EXPIRED = VOIDED._replace(state=State.EXPIRED)
DECLINED = RESERVED._replace(state=State.DECLINED, was_declined=True, expires=False, transaction_id="")
TOLD = DECLINED._replace(told=True)
TURNED = TOLD._replace(state=State.CAPTURED, captured_minor=60)
NAMES = {
    "reserved": RESERVED,
    "captured": CAPTURED,
    "half back": HALF_BACK,
    "refunded": REFUNDED,
    "voided": VOIDED,
    "expired": EXPIRED,
    "declined": DECLINED,
    "told": TOLD,
    "turned": TURNED,
}


@pytest.mark.parametrize(
    ("before", "amount", "after", "released", "code"),
    [
        ("reserved", 60, "captured", 40, None),
        ("captured", 60, "captured", 40, None),
        ("half back", 60, "half back", 40, None),
        ("refunded", 60, "refunded", 40, None),
        ("told", 60, "turned", 0, None),
        ("turned", 60, "turned", 0, None),
        ("reserved", 101, "reserved", 0, "exceeds_reserved"),
        ("told", 101, "told", 0, "exceeds_reserved"),
        ("captured", 59, "captured", 0, "already_captured"),
        ("captured", None, "captured", 0, "already_captured"),
        ("refunded", 59, "refunded", 0, "already_captured"),
        ("voided", 60, "voided", 0, "already_voided"),
        ("expired", 60, "expired", 0, "already_expired"),
        ("declined", 60, "declined", 0, "not_approved"),
    ],
)
def test_a_capture(before: str, amount: int | None, after: str, released: int, code: str | None) -> None:
    assert capture(NAMES[before], amount) == Done(NAMES[after], released, code)  # pyright: ignore[reportArgumentType]  # the table has texts


def test_a_capture_without_an_amount_takes_all() -> None:
    assert capture(RESERVED, None).after.captured_minor == 100


@pytest.mark.parametrize(
    ("before", "after", "released", "code"),
    [
        ("reserved", "voided", 100, None),
        ("voided", "voided", 100, None),
        ("captured", "captured", 0, "already_captured"),
        ("refunded", "refunded", 0, "already_captured"),
        ("expired", "expired", 0, "already_expired"),
        ("declined", "declined", 0, "not_approved"),
    ],
)
def test_a_void(before: str, after: str, released: int, code: str | None) -> None:
    assert void(NAMES[before]) == Done(NAMES[after], released, code)  # pyright: ignore[reportArgumentType]  # as above


def test_what_was_declined_and_told_otherwise_is_voided_without_freeing_anything() -> None:
    done = void(TOLD)
    assert (done.after.state, done.released_minor, done.after.book) == (State.VOIDED, 0, Book.DECLINED)
    assert capture(done.after, None).code == "already_voided"


@pytest.mark.parametrize(
    ("before", "number", "amount", "after", "released", "code"),
    [
        ("captured", 1, 30, "half back", 30, None),
        ("half back", 2, 30, "refunded", 30, None),
        ("half back", 2, None, "refunded", 30, None),
        ("half back", 1, 30, "half back", 30, None),
        ("half back", 1, None, "half back", 30, None),
        ("refunded", 1, 30, "refunded", 30, None),
        ("half back", 1, 31, "half back", 0, "refund_id_used"),
        ("half back", 2, 31, "half back", 0, "exceeds_captured"),
        ("captured", 1, 61, "captured", 0, "exceeds_captured"),
        ("refunded", 3, None, "refunded", 0, "exceeds_captured"),
        ("reserved", 1, 30, "reserved", 0, "not_captured"),
        ("voided", 1, 30, "voided", 0, "not_captured"),
        ("expired", 1, 30, "expired", 0, "not_captured"),
        ("told", 1, 30, "told", 0, "not_captured"),
        ("declined", 1, 30, "declined", 0, "not_approved"),
    ],
)
def test_a_refund(before: str, number: int, amount: int | None, after: str, released: int, code: str | None) -> None:
    done = refund(NAMES[before], b"refund-%d" % number, amount, rounded=False)
    assert done == Done(NAMES[after], released, code)  # pyright: ignore[reportArgumentType]  # as above


def test_the_last_part_of_a_converted_whole_gives_back_what_rounding_left() -> None:
    # Three parts of 1.5 each, rounded to 2, of a whole of 4.
    before = CAPTURED._replace(captured_minor=4)
    for number, given in enumerate([2, 2]):
        before, released, code = refund(before, b"refund-%d" % number, 2, rounded=True)
        assert (released, code) == (given, None)
    assert before.state is State.REFUNDED
    three = CAPTURED._replace(captured_minor=3)
    first = refund(three, b"refund-1", 2, rounded=True).after
    last = refund(first, b"refund-2", 2, rounded=True)
    assert (last.released_minor, last.after.state) == (1, State.REFUNDED)
    assert refund(last.after, b"refund-2", 2, rounded=True) == Done(last.after, 1)
    assert refund(first, b"refund-2", 3, rounded=True).code == "exceeds_captured"
    assert refund(first, b"refund-2", 2, rounded=False).code == "exceeds_captured"


def test_a_purchase_is_refunded_in_so_many_parts() -> None:
    before = CAPTURED
    for number in range(MAX_REFUNDS):
        before = refund(before._replace(captured_minor=1_000), b"%8d" % number, 1, rounded=False).after
    assert refund(before, b"one more", 1, rounded=False).code == "too_many_refunds"
    assert refund(before, b"%8d" % 5, 1, rounded=False).code is None


def test_expiry_frees_what_is_reserved() -> None:
    assert expire(RESERVED) == Done(EXPIRED, 100)


def test_credit_is_held_by_what_is_reserved_or_captured_and_not_given_back() -> None:
    held = {name: reservation.held_minor for name, reservation in NAMES.items()}
    assert {name: minor for name, minor in held.items() if minor} == {
        "reserved": 100,
        "captured": 60,
        "half back": 30,
        "turned": 60,
    }


def test_only_what_holds_counts_as_approved() -> None:
    approved = {name for name, reservation in NAMES.items() if reservation.book is Book.APPROVED}
    released = {name for name, reservation in NAMES.items() if reservation.book is Book.RELEASED}
    assert approved == {"reserved", "captured", "half back", "turned"}
    assert released == {"refunded", "voided", "expired"}
