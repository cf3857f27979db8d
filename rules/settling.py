"""Settling: captures, voids, refunds and expiry of the purchases of one desk, and what each of them comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from typing import Final, NamedTuple

from models.decision import Action
from models.money import MAX_MINOR, MoneyError, convert_minor
from models.settlement import (
    CAPTURE,
    EXPIRE,
    VOID,
    Settlement,
    SettlementCode,
    SettlementResult,
    SettlementStatus,
    decode_settlement,
    encode_settlement_result,
)
from rules.decider import Decider
from rules.entity import transaction_hash
from rules.fold import Headers, Output
from rules.plan import RulesetPlan
from rules.reservation import Done, Reservation, State, capture, expire, refund, void
from rules.reservations import KEEP_MS, KEEP_SETTLED_MS, Reservations
from rules.waiting import WAIT_MS, Waiting, WaitingRoom

SETTLEMENT_RESULTS: Final = "settlements.results"
# So many reservations, and so many that wait, are let go with one record: more go with the next.
MOST_AT_ONCE: Final = 256


class Asked(NamedTuple):
    """An amount that a settlement names, in the reservation's currency; `rounded` where it was converted."""

    amount_minor: int | None
    rounded: bool


class Settling:
    """What becomes of the purchases that a desk decided on.

    Credit and the logs of outcomes follow each reservation through the decider.
    """

    def __init__(self, decider: Decider, reservations: Reservations) -> None:
        """`reservations` are those that the decider opens."""
        self._decider = decider
        self._reservations = reservations
        self.waiting = WaitingRoom()

    def is_due(self, now_ms: int) -> bool:
        """Whether there is something to let go at an event time."""
        return self._reservations.next_ms <= now_ms or (self.waiting.count > 0 and self.waiting.next_ms <= now_ms)

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take everything back from its state records."""
        self._reservations.restore(records)
        self.waiting.restore(records)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        return chain(self._reservations.changes(), self.waiting.changes())

    def tell(
        self, plan: RulesetPlan, account_id: str, transaction: bytes, told: Action | None
    ) -> Sequence[SettlementResult]:
        """Learn what a gateway has answered to a purchase by itself: then it may be captured, though it is declined.

        Returns the results of what waited for that.
        """
        if told is None or told is Action.BLOCK:
            return ()
        reservation = self._reservations.find(account_id, transaction)
        if reservation is None or not _awaits_answer(reservation):
            return ()
        self._reservations.put(account_id, reservation._replace(told=True))
        return self.apply_waiting(plan, account_id, transaction)

    def apply(self, plan: RulesetPlan, settlement: Settlement, *, decided: bool) -> Sequence[SettlementResult]:
        """Settle a purchase: the result, and behind it that of a settlement which can't wait longer because of it.

        Where the purchase is declined it waits as well: the record of what a gateway answered by itself may come
        later. `decided` says that the desk knows a decision on the purchase, so that waiting for one is in vain.
        """
        account_id, transaction = settlement.account_id, transaction_hash(settlement.transaction_id)
        reservation = self._reservations.find(account_id, transaction)
        if reservation is None:
            if decided:
                return [_unknown(settlement)]
            waiting = _result(settlement, "waiting")
        elif _awaits_answer(reservation):
            waiting = _result(settlement, "waiting", Done(_reckoned(reservation, plan)))
        else:
            return [self._settled(plan, settlement, reservation)]
        for one in self.waiting.waiting_for(account_id, transaction):
            if _is_same(decode_settlement(one.text), settlement):
                return [waiting]
        text = settlement.model_dump_json(exclude_none=True).encode()
        until_ms = max(self._decider.now_ms, settlement.event_time) + WAIT_MS
        gone = self.waiting.add(account_id, transaction, text, until_ms)
        return [waiting] if gone is None else [waiting, self._in_vain(plan, gone)]

    def apply_waiting(self, plan: RulesetPlan, account_id: str, transaction: bytes) -> Sequence[SettlementResult]:
        """Settle a purchase that was just decided by all that waited for that, in the order in which it came.

        While it is declined, and no gateway is known to have answered otherwise, they wait on.
        """
        reservation = self._reservations.find(account_id, transaction)
        if reservation is not None and _awaits_answer(reservation):
            return ()
        results: list[SettlementResult] = []
        for one in self.waiting.take(account_id, transaction):
            settlement, reservation = decode_settlement(one.text), self._reservations.find(account_id, transaction)
            if reservation is None:
                results.append(_unknown(settlement))
            else:
                results.append(self._settled(plan, settlement, reservation))
        return results

    def pass_time(self, plan: RulesetPlan, account_id: str, now_ms: int) -> Sequence[SettlementResult]:
        """Let go what is due at an event time: reservations that nobody captured, and what waited in vain.

        All that is due of an account of which a purchase is decided next, so that it finds its credit free, and a
        bounded number of others.
        """
        results: list[SettlementResult] = []
        for reservation in self._reservations.due_of(account_id, now_ms):
            results += self._let_go(plan, account_id, reservation, now_ms)
        for _ in range(MOST_AT_ONCE):
            due = self._reservations.due(now_ms)
            if due is None:
                break
            results += self._let_go(plan, *due, now_ms)
        for _ in range(MOST_AT_ONCE):
            one = self.waiting.due(now_ms)
            if one is None:
                break
            results.append(self._in_vain(plan, one))
        return results

    def _in_vain(self, plan: RulesetPlan, one: Waiting) -> SettlementResult:
        """What becomes of a settlement that can wait no longer."""
        settlement = decode_settlement(one.text)
        reservation = self._reservations.find(one.account_id, one.transaction)
        if reservation is None:
            return _unknown(settlement)
        return _result(settlement, "refused", Done(_reckoned(reservation, plan), code="not_approved"))

    def _let_go(
        self, plan: RulesetPlan, account_id: str, reservation: Reservation, now_ms: int
    ) -> Sequence[SettlementResult]:
        """Expire a reservation that is due, or forget it."""
        if not reservation.expires:
            self._reservations.drop(account_id, reservation.transaction)
            return ()
        before = _reckoned(reservation, plan)
        done = expire(before)
        try:
            self._keep(plan, account_id, before, done.after, now_ms)
        except MoneyError:
            # It ends all the same. What it used of the credit stays used, as nobody can tell how much that is.
            self._reservations.put(account_id, done.after._replace(due_ms=now_ms + KEEP_SETTLED_MS))
            self._decider.follow_outcome(plan, account_id, before, done.after)
            done = Done(done.after, code="no_rate")
        named = {"transaction_id": reservation.transaction_id, "account_id": account_id, "kind": EXPIRE}
        return [_told({**named, "event_time": reservation.due_ms}, "applied", done)]

    def _settled(self, plan: RulesetPlan, settlement: Settlement, found: Reservation) -> SettlementResult:
        before = _reckoned(found, plan)
        try:
            asked = _asked(before, settlement, plan)
        except MoneyError:
            return _result(settlement, "refused", Done(before, code="no_rate"))
        done = _done(before, settlement, asked)
        if done.code is not None:
            return _result(settlement, "refused", done)
        if done.after != before:
            try:
                self._keep(plan, settlement.account_id, before, done.after, self._decider.now_ms)
            except MoneyError:
                return _result(settlement, "refused", Done(before, code="no_rate"))
        return _result(settlement, "applied", done)

    def _keep(self, plan: RulesetPlan, account_id: str, before: Reservation, after: Reservation, now_ms: int) -> None:
        """Keep what became of a reservation. Raises MoneyError where credit can't follow; then nothing has changed."""
        if after.state is not before.state:
            keep_ms = KEEP_MS if after.state is State.CAPTURED else KEEP_SETTLED_MS
            after = after._replace(due_ms=now_ms + keep_ms)
        self._decider.follow(plan, account_id, before, after)
        self._reservations.put(account_id, after)


def _awaits_answer(reservation: Reservation) -> bool:
    """Whether it is declined, and a gateway may still turn out to have answered otherwise."""
    return reservation.state is State.DECLINED and not reservation.told


def _done(before: Reservation, settlement: Settlement, asked: Asked) -> Done:
    if settlement.kind == CAPTURE:
        return capture(before, asked.amount_minor)
    if settlement.kind == VOID:
        return void(before)
    assert settlement.refund_id is not None, "a refund has an id"
    refund_hash = transaction_hash(settlement.refund_id)
    return refund(before, refund_hash, asked.amount_minor, rounded=asked.rounded)


def _reckoned(reservation: Reservation, plan: RulesetPlan) -> Reservation:
    """The reservation in the ruleset's currency; as it is where there is no rate from its own."""
    if reservation.currency == plan.currency:
        return reservation

    def converted(amount_minor: int) -> int:
        return convert_minor(amount_minor, reservation.currency, plan.currency, plan.rates)

    try:
        return reservation._replace(
            currency=plan.currency,
            reserved_minor=converted(reservation.reserved_minor),
            captured_minor=converted(reservation.captured_minor),
            refunded_minor=converted(reservation.refunded_minor),
            refunds=tuple(each._replace(amount_minor=converted(each.amount_minor)) for each in reservation.refunds),
        )
    except MoneyError:
        return reservation


def _asked(reservation: Reservation, settlement: Settlement, plan: RulesetPlan) -> Asked:
    """What a settlement asks for. Raises MoneyError where a rate is missing.

    In the purchase's own currency it is the same share of what was reserved as it is of what was paid, whatever the
    rates are by now.
    """
    amount_minor, currency = settlement.amount, settlement.currency
    if amount_minor is None or currency is None:
        return Asked(None, rounded=False)
    if currency == reservation.currency:
        return Asked(amount_minor, rounded=False)
    if currency == reservation.paid_currency:
        # Fractions round half to even.
        return Asked(round(Fraction(reservation.reserved_minor * amount_minor, reservation.paid_minor)), rounded=True)
    if reservation.currency != plan.currency:
        raise MoneyError(f"no rate from {reservation.currency} to {plan.currency}")
    try:
        return Asked(convert_minor(amount_minor, currency, plan.currency, plan.rates), rounded=True)
    except MoneyError:
        if currency not in plan.rates:
            raise
        # Too much to be reckoned with, and more than any purchase.
        return Asked(MAX_MINOR + 1, rounded=True)


def _is_same(settlement: Settlement, other: Settlement) -> bool:
    return settlement.model_copy(update={"event_time": other.event_time}) == other


def _unknown(settlement: Settlement) -> SettlementResult:
    return _result(settlement, "refused", code="unknown_transaction")


def _result(
    settlement: Settlement, status: SettlementStatus, done: Done | None = None, code: SettlementCode | None = None
) -> SettlementResult:
    named = {
        "transaction_id": settlement.transaction_id,
        "account_id": settlement.account_id,
        "kind": settlement.kind,
        "refund_id": settlement.refund_id,
        "event_time": settlement.event_time,
    }
    return _told(named, status, done, code)


def _told(
    named: Mapping[str, object], status: SettlementStatus, done: Done | None, code: SettlementCode | None = None
) -> SettlementResult:
    told = {**named, "status": status, "code": code}
    if done is not None:
        after = done.after
        told |= {
            "code": done.code,
            "state": after.state.name.lower(),
            "reserved": after.reserved_minor,
            "captured": after.captured_minor,
            "refunded": after.refunded_minor,
            "released": done.released_minor,
            "currency": after.currency,
        }
    return SettlementResult.model_validate(told)


def announced(results: Iterable[SettlementResult], headers: Headers = ()) -> list[Output]:
    """Results on their way, with the headers of the record that they answer."""
    return [
        Output(SETTLEMENT_RESULTS, result.account_id.encode(), encode_settlement_result(result), headers)
        for result in results
    ]
