"""What comes in from outside: read and checked before anything depends on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from models.account import CreditLimit, InvalidAccountRecord, Repayment, decode_credit_limit, decode_repayment
from models.decision import Decision, InvalidDecision
from models.inquiry import Inquiry, InvalidInquiry, decode_inquiry
from models.label import InvalidLabel, Label, decode_label
from models.money import MoneyError, convert_minor
from models.purchase import InvalidPurchase, read_purchase_fields
from models.purchase_fields import PurchaseFields
from models.settlement import InvalidSettlement, Settlement, decode_settlement
from rules.dead_letter import FUTURE, MALFORMED, NO_RATE, OVERSIZED, RefusedError
from rules.degraded_text import read_answer
from rules.fold import SourceRecord
from rules.plan import RulesetPlan
from rules.step import amount_in

# A purchase may be dated this far after the broker's timestamp: clocks differ.
MAX_AHEAD_MS: Final = 5 * 60 * 1000
MAX_RECORD_BYTES: Final = 64 * 1024

_AccountRecord = TypeVar("_AccountRecord", CreditLimit, Repayment)


class Intake:
    """Reads records that came in. Every method raises RefusedError, with the reason and what to do."""

    def __init__(self, max_ahead_ms: int = MAX_AHEAD_MS) -> None:
        self._max_ahead_ms = max_ahead_ms

    def verify_size(self, value: bytes | None) -> None:
        """Refuse what is too large to be read."""
        if value is not None and len(value) > MAX_RECORD_BYTES:
            raise RefusedError(OVERSIZED, f"{len(value)} bytes, at most {MAX_RECORD_BYTES} are read: send less")

    def purchase(self, value: bytes | None, timestamp_ms: int, plan: RulesetPlan) -> tuple[PurchaseFields, int]:
        """A purchase, and its amount in minor units of the ruleset's currency."""
        try:
            purchase = read_purchase_fields(value or b"")
            # Most are in that currency, and not dated ahead.
            amount_minor = purchase.amount if purchase.currency == plan.currency else amount_in(plan, purchase)
        except InvalidPurchase as error:
            raise RefusedError(MALFORMED, str(error)) from None
        except MoneyError as error:
            raise RefusedError(NO_RATE, str(error)) from None
        if purchase.event_time > timestamp_ms:
            self._verify_time(purchase.event_time, timestamp_ms)
        return purchase, amount_minor

    def credit_limit(self, record: SourceRecord, plan: RulesetPlan) -> CreditLimit:
        """An account's credit limit, in a currency that the ruleset can reckon with."""
        limit = _decoded(decode_credit_limit, record)
        self.verify_money(limit.credit_limit, limit.currency, plan)
        self._verify_time(limit.event_time, record.timestamp)
        return limit

    def repayment(self, record: SourceRecord, plan: RulesetPlan) -> Repayment:
        """A repayment, in a currency that the ruleset can reckon with."""
        repayment = _decoded(decode_repayment, record)
        self.verify_money(repayment.amount, repayment.currency, plan)
        self._verify_time(repayment.event_time, record.timestamp)
        return repayment

    def label(self, record: SourceRecord) -> Label:
        """A verdict on a purchase. Its own time counts, and that its purchase is not dated ahead."""
        try:
            label = decode_label(record.value or b"")
        except InvalidLabel as error:
            raise RefusedError(MALFORMED, str(error)) from None
        self._verify_time(label.event_time, record.timestamp)
        if label.purchase is not None:
            self._verify_time(label.purchase.event_time, record.timestamp, "purchase.event_time")
        return label

    def settlement(self, record: SourceRecord) -> Settlement:
        """What becomes of a purchase. Whether its currency can be reckoned with depends on the purchase's own."""
        try:
            settlement = decode_settlement(record.value or b"")
        except InvalidSettlement as error:
            raise RefusedError(MALFORMED, str(error)) from None
        self._verify_time(settlement.event_time, record.timestamp)
        return settlement

    def degraded_answer(self, record: SourceRecord) -> Decision:
        """An answer that was given without the full decision."""
        try:
            answer = read_answer(record.value or b"")
        except InvalidDecision as error:
            raise RefusedError(MALFORMED, str(error)) from None
        self._verify_time(answer.event_time, record.timestamp)
        return answer

    def inquiry(self, record: SourceRecord) -> Inquiry:
        """A question which decision was given."""
        try:
            return decode_inquiry(record.value or b"")
        except InvalidInquiry as error:
            raise RefusedError(MALFORMED, str(error)) from None

    def verify_money(self, amount_minor: int, currency: str, plan: RulesetPlan) -> None:
        """Refuse an amount that the ruleset can't reckon with."""
        try:
            convert_minor(amount_minor, currency, plan.currency, plan.rates)
        except MoneyError as error:
            raise RefusedError(NO_RATE, str(error)) from None

    def _verify_time(self, event_time_ms: int, timestamp_ms: int, field: str = "event_time") -> None:
        ahead_ms = event_time_ms - timestamp_ms
        if ahead_ms > self._max_ahead_ms:
            raise RefusedError(
                FUTURE,
                f"{field} is {ahead_ms} ms after the broker's timestamp, at most {self._max_ahead_ms} are "
                f"allowed: check the sender's clock, and that {field} is in milliseconds",
            )


def _decoded(decode: Callable[[bytes], _AccountRecord], record: SourceRecord) -> _AccountRecord:
    try:
        return decode(record.value or b"")
    except InvalidAccountRecord as error:
        raise RefusedError(MALFORMED, str(error)) from None
