"""A reservation: what became of one purchase since it was decided, and what a settlement does to it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from models.settlement import SettlementCode
from rules.entity_books import Book

MAX_REFUNDS: Final = 64


class State(IntEnum):
    """What a purchase is in. The numbers are those in the state records."""

    RESERVED = 0
    CAPTURED = 1
    VOIDED = 2
    REFUNDED = 3
    EXPIRED = 4
    DECLINED = 5


class Refund(NamedTuple):
    """A part that was given back, by the hash of its refund_id."""

    refund: bytes
    amount_minor: int


class Reservation(NamedTuple):
    """One purchase of an account. Amounts are in minor units of `currency`, the ruleset's when they were reckoned.

    `paid_minor` and `paid_currency` are the purchase's own amount. `was_declined` is of one that the desk declined,
    whatever came of it later, `told` where a gateway had answered by itself to go ahead with it. At `due_ms` (event
    time) something is done about it: where it `expires` the reservation is released, else it is forgotten.
    `transaction_id` is kept where it expires, to tell of that. An `unreckoned` one took no credit when it was approved,
    for want of a rate: there is none to give back, and a capture takes it.
    """

    transaction: bytes
    state: State
    was_declined: bool
    told: bool
    expires: bool
    due_ms: int
    paid_minor: int
    paid_currency: str
    currency: str
    reserved_minor: int
    captured_minor: int = 0
    refunded_minor: int = 0
    transaction_id: str = ""
    refunds: tuple[Refund, ...] = ()
    unreckoned: bool = False

    @property
    def taken_minor(self) -> int:
        """What it took of the account's credit when it was decided."""
        return 0 if self.was_declined or self.unreckoned else self.reserved_minor

    @property
    def held_minor(self) -> int:
        """What it uses of the account's credit."""
        if self.state is State.RESERVED:
            return self.taken_minor
        return self.captured_minor - self.refunded_minor if self.state is State.CAPTURED else 0

    @property
    def book(self) -> Book:
        """The log of its account in which the purchase belongs."""
        if self.state in (State.RESERVED, State.CAPTURED):
            return Book.APPROVED
        if self.state is State.DECLINED or (self.state is State.VOIDED and self.was_declined):
            return Book.DECLINED
        return Book.RELEASED


class Done(NamedTuple):
    """What a settlement came to: the reservation after it, what it freed, and why it was refused, if it was.

    One that was applied before frees nothing again: `released_minor` is what it freed then, `after` is unchanged.
    """

    after: Reservation
    released_minor: int = 0
    code: SettlementCode | None = None


def capture(reservation: Reservation, amount_minor: int | None) -> Done:
    """Take an amount, by default all that is reserved; what is left is released.

    One that was declined, where the checkout was told to go ahead, becomes an approved one.
    """
    state, reserved_minor = reservation.state, reservation.reserved_minor
    wanted_minor = reserved_minor if amount_minor is None else amount_minor
    if state in (State.CAPTURED, State.REFUNDED):
        if wanted_minor != reservation.captured_minor:
            return Done(reservation, code="already_captured")
        return Done(reservation, max(0, reservation.taken_minor - wanted_minor))
    if state is State.VOIDED:
        return Done(reservation, code="already_voided")
    if state is State.EXPIRED:
        return Done(reservation, code="already_expired")
    if state is State.DECLINED and not reservation.told:
        return Done(reservation, code="not_approved")
    if wanted_minor > reserved_minor:
        return Done(reservation, code="exceeds_reserved")
    after = reservation._replace(state=State.CAPTURED, captured_minor=wanted_minor, expires=False, transaction_id="")
    return Done(after, max(0, reservation.taken_minor - wanted_minor))


def void(reservation: Reservation) -> Done:
    """Release all of what nobody captured."""
    state = reservation.state
    if state in (State.CAPTURED, State.REFUNDED):
        return Done(reservation, code="already_captured")
    if state is State.EXPIRED:
        return Done(reservation, code="already_expired")
    if state is State.DECLINED and not reservation.told:
        return Done(reservation, code="not_approved")
    released_minor = reservation.taken_minor
    if state is State.VOIDED:
        return Done(reservation, released_minor)
    return Done(reservation._replace(state=State.VOIDED, expires=False, transaction_id=""), released_minor)


def refund(reservation: Reservation, refund_hash: bytes, amount_minor: int | None, *, rounded: bool) -> Done:
    """Give back an amount of what was captured, by default all that is left; once for each refund.

    A `rounded` amount was converted: the parts of a whole may then come to a little more than it, and the last of
    them gives back what is left.
    """
    for number, earlier in enumerate(reservation.refunds):
        if earlier.refund == refund_hash:
            slack_minor = number // 2 + 1 if rounded else 0
            same = amount_minor is None or 0 <= amount_minor - earlier.amount_minor <= slack_minor
            return Done(reservation, earlier.amount_minor) if same else Done(reservation, code="refund_id_used")
    if reservation.state is State.REFUNDED:
        return Done(reservation, code="exceeds_captured")
    if reservation.state is State.DECLINED and not reservation.told:
        return Done(reservation, code="not_approved")
    if reservation.state is not State.CAPTURED:
        return Done(reservation, code="not_captured")
    if len(reservation.refunds) >= MAX_REFUNDS:
        return Done(reservation, code="too_many_refunds")
    left_minor = reservation.captured_minor - reservation.refunded_minor
    wanted_minor = left_minor if amount_minor is None else amount_minor
    # Each amount is off by half a minor unit at most: those of all parts, and that of the whole.
    slack_minor = len(reservation.refunds) // 2 + 1 if rounded else 0
    if wanted_minor > left_minor + slack_minor:
        return Done(reservation, code="exceeds_captured")
    given_minor = min(wanted_minor, left_minor)
    after = reservation._replace(
        state=State.REFUNDED if given_minor == left_minor else State.CAPTURED,
        refunded_minor=reservation.refunded_minor + given_minor,
        refunds=(*reservation.refunds, Refund(refund_hash, given_minor)),
    )
    return Done(after, given_minor)


def expire(reservation: Reservation) -> Done:
    """Release what is reserved, because nobody captured it in time."""
    after = reservation._replace(state=State.EXPIRED, expires=False, transaction_id="")
    return Done(after, reservation.taken_minor)
