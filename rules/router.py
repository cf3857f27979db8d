"""The router: reads what comes in, picks the ruleset in force and sends each record on its way. It keeps no state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from models.account import InvalidAccountRecord, decode_credit_limit, decode_repayment
from models.money import MoneyError, convert_minor
from models.purchase import InvalidPurchase, decode_purchase
from rules.dead_letter import FUTURE, MALFORMED, NO_RATE, OVERSIZED, dead_letter
from rules.fold import Output, Record
from rules.language.compile import CompiledRuleset
from rules.route import CREDIT_LIMIT, PURCHASE, REPAYMENT, Route
from rules.rulesets import Rulesets, reference_of
from rules.step import amount_in, itinerary, onward

PURCHASES: Final = "purchases"
ACCOUNTS: Final = "accounts"
REPAYMENTS: Final = "repayments"

KINDS: Final = {PURCHASES: PURCHASE, ACCOUNTS: CREDIT_LIMIT, REPAYMENTS: REPAYMENT}
# A purchase may be dated this far after the broker's timestamp: clocks differ.
MAX_AHEAD_MS: Final = 5 * 60 * 1000
MAX_RECORD_BYTES: Final = 64 * 1024


class Router:
    """The step on one of the incoming topics."""

    def __init__(self, topic: str, rulesets: Rulesets, max_ahead_ms: int = MAX_AHEAD_MS) -> None:
        self._topic = topic
        self._rulesets = rulesets
        self._max_ahead_ms = max_ahead_ms

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """A router has nothing to restore."""

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """A router's state never changes."""
        return []

    def apply(self, record: Record) -> Sequence[Output]:
        """One record onward, or a dead letter. Raises StateNotReadyError while there is no ruleset."""
        ruleset = self._rulesets.in_force()
        size = len(record.value or b"")
        if size > MAX_RECORD_BYTES:
            return [self._refused(record, OVERSIZED, f"{size} bytes, at most {MAX_RECORD_BYTES} are read: send less")]
        try:
            return [self._routed(record, ruleset)]
        except (InvalidPurchase, InvalidAccountRecord) as error:
            return [self._refused(record, MALFORMED, str(error))]
        except _FutureError as error:
            return [self._refused(record, FUTURE, str(error))]
        except MoneyError as error:
            return [self._refused(record, NO_RATE, str(error))]

    def _routed(self, record: Record, ruleset: CompiledRuleset) -> Output:
        value, plan = record.value or b"", ruleset.plan
        stops: tuple[str, ...] = ()
        if self._topic == PURCHASES:
            purchase = decode_purchase(value)
            account_id, event_time_ms = purchase.account_id, purchase.event_time
            amount_in(plan, purchase)
            stops = itinerary(plan, purchase)
        elif self._topic == ACCOUNTS:
            limit = decode_credit_limit(value)
            account_id, event_time_ms = limit.account_id, limit.event_time
            convert_minor(limit.credit_limit, limit.currency, plan.currency, plan.rates)
        else:
            repayment = decode_repayment(value)
            account_id, event_time_ms = repayment.account_id, repayment.event_time
            convert_minor(repayment.amount, repayment.currency, plan.currency, plan.rates)
        ahead_ms = event_time_ms - record.timestamp_ms
        if ahead_ms > self._max_ahead_ms:
            raise _FutureError(
                f"event_time is {ahead_ms} ms after the broker's timestamp, at most {self._max_ahead_ms} are "
                "allowed: check the sender's clock, and that event_time is in milliseconds"
            )
        has_account_key = record.key == account_id.encode()
        route = Route(
            KINDS[self._topic],
            reference_of(ruleset),
            (self._topic, record.partition, record.offset, record.timestamp_ms),
            None if has_account_key else record.key,
            has_account_key,
            stops,
        )
        return onward(account_id, record.value, record.headers, route)

    def _refused(self, record: Record, reason: str, detail: str) -> Output:
        return dead_letter(record, self._topic, reason, detail)


class _FutureError(ValueError):
    """An event time too far after the broker's timestamp."""
