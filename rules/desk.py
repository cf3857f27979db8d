"""The desk: decides on the purchases that arrive with all their stamps, once each, and keeps accounts' credit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from models.account import InvalidAccountRecord, decode_credit_limit, decode_repayment
from models.decision import Action, InvalidDecision, encode_decision
from models.inquiry import InvalidInquiry, decode_inquiry
from models.money import MoneyError
from models.purchase_fields import PurchaseFields
from models.reconciliation import Reconciliation
from models.settlement import InvalidSettlement, SettlementResult, decode_settlement
from rules.accounts import Accounts
from rules.answered import Answers
from rules.body import body_of, differing_fields
from rules.bundle import InvalidBundleError, unpack_bundle
from rules.dead_letter import FOREIGN, RefusedError, dead_letter, dead_letter_of
from rules.decided import Decided
from rules.decider import Decider
from rules.degraded_text import read_answer
from rules.desk_outputs import Case, conflict, decision_outputs, forwarded, quick_case
from rules.entity import transaction_hash
from rules.fold import Output, SourceRecord
from rules.intake import MAX_AHEAD_MS, Intake
from rules.packed_books import LOG
from rules.plan import RulesetPlan
from rules.quick_tuple import quick
from rules.reply import DECISION as DECIDED
from rules.reply import (
    SETTLED,
    UNKNOWN,
    reply,
    reply_json,
    reply_to,
    with_refusals,
)
from rules.reservations import Reservations
from rules.route import (
    BUNDLE,
    CREDIT_LIMIT,
    DEGRADED,
    INQUIRY,
    LABEL,
    PURCHASE,
    REPAYMENT,
    SETTLEMENT,
    Origin,
)
from rules.rulesets import Rulesets
from rules.settling import Settling, announced
from rules.step import ASSESSMENTS, Arrival, read_arrival, read_label, read_purchase
from rules.tally import Tally

_UNREADABLE: Final = (
    InvalidAccountRecord,
    InvalidBundleError,
    InvalidDecision,
    InvalidInquiry,
    InvalidSettlement,
    MoneyError,
)


_APPROVE: Final = Action.APPROVE
_origin = quick(Origin)


class Desk:
    """The fold over one partition of assessments."""

    def __init__(
        self,
        rulesets: Rulesets,
        tally: Tally | None = None,
        max_ahead_ms: int = MAX_AHEAD_MS,
        notice_answer: Callable[[Reconciliation | None], None] | None = None,
    ) -> None:
        """`tally` counts the decisions as they are made.

        `notice_answer` hears of each degraded answer as it is reconciled, and of those that never are (None).
        """
        self._rulesets = rulesets
        self._tally = tally or Tally()
        self._intake = Intake(max_ahead_ms)
        accounts = Accounts()
        reservations = Reservations(accounts)
        self._decider = Decider(reservations)
        self._settling = Settling(self._decider, reservations)
        self._decided = Decided(accounts)
        self._answers = Answers(accounts, lambda: self._decider.now_ms, notice_answer)
        self._takers: dict[str, Callable[[Arrival], Sequence[Output]]] = {
            BUNDLE: self._bundle,
            PURCHASE: self._purchase,
            CREDIT_LIMIT: self._credit_limit,
            REPAYMENT: self._repayment,
            LABEL: self._label,
            SETTLEMENT: self._settlement,
            INQUIRY: self._inquiry,
            DEGRADED: self._degraded,
        }

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take everything back from its state records."""
        # Most are of logs: whoever looks for others need not go through these.
        others = {key: raw for key, raw in records.items() if key[:1] != LOG}
        self._decider.restore(records, others)
        self._settling.restore(others)
        self._decided.restore(others)
        self._answers.restore(others)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        parts = (self._decider, self._settling, self._decided, self._answers)
        return [change for part in parts for change in part.changes()]

    def flush(self) -> Sequence[Output]:
        """The desk holds nothing back."""
        return ()

    def apply(self, record: SourceRecord) -> Sequence[Output]:
        """Take one assessment. Raises StateNotReadyError while its ruleset has not arrived."""
        arrival = read_arrival(record, ASSESSMENTS, self._rulesets)
        if isinstance(arrival, Output):
            return [arrival]
        try:
            take = self._takers.get(arrival.route.kind)
            if take is not None:
                return take(arrival)
        except _UNREADABLE as error:
            return [dead_letter(record, ASSESSMENTS, FOREIGN, str(error))]
        return [dead_letter(record, ASSESSMENTS, FOREIGN, f"{arrival.route.kind!r} is no kind of record")]

    def _credit_limit(self, arrival: Arrival) -> Sequence[Output]:
        self._decider.set_limit(decode_credit_limit(arrival.record.value or b""))
        return []

    def _repayment(self, arrival: Arrival) -> Sequence[Output]:
        self._decider.repay(arrival.ruleset.plan, decode_repayment(arrival.record.value or b""))
        return []

    def _label(self, arrival: Arrival) -> Sequence[Output]:
        read = read_label(arrival, ASSESSMENTS)
        if isinstance(read, Output):
            return [read]
        purchase, amount_minor = read
        transaction = transaction_hash(purchase.transaction_id)
        self._decider.learn_fraud(arrival.ruleset.plan, purchase, amount_minor, transaction)
        return []

    def _settlement(self, arrival: Arrival) -> Sequence[Output]:
        """What becomes of a purchase, now or behind its decision."""
        settlement, headers = decode_settlement(arrival.record.value or b""), arrival.sender_headers
        decided = self._decided.knows(settlement.account_id, transaction_hash(settlement.transaction_id))
        result, *others = self._settling.apply(arrival.ruleset.plan, settlement, decided=decided)
        outputs = [*announced([result], headers), *announced(others)]
        to = reply_to(headers)
        return outputs if to is None else [*outputs, reply(to, SETTLED, outputs[0].value or b"")]

    def _inquiry(self, arrival: Arrival) -> Sequence[Output]:
        """Which decision a transaction was given: told to whoever awaits the reply, and nobody else."""
        to = reply_to(arrival.sender_headers)
        if to is None:
            return []
        inquiry = decode_inquiry(arrival.record.value or b"")
        transaction = transaction_hash(inquiry.transaction_id)
        if inquiry.account_id is not None:
            first = self._decided.find(inquiry.account_id, transaction)
        else:
            first = self._decided.find_in_all(transaction)
        if first is None:
            return [reply_json(to, UNKNOWN, {"partition": arrival.record.partition})]
        return [reply(to, DECIDED, first.text)]

    def _degraded(self, arrival: Arrival) -> Sequence[Output]:
        """What a gateway answered without the full decision."""
        raw = arrival.record.value or b""
        answer = read_answer(raw)
        transaction = transaction_hash(answer.transaction_id)
        first = self._decided.find(answer.account_id, transaction)
        settled = self._settling.tell(arrival.ruleset.plan, answer.account_id, transaction, Action(answer.action))
        reconciled = self._answers.take(answer, raw, first)
        return [*reconciled, *announced(settled)] if settled else reconciled

    def _bundle(self, arrival: Arrival) -> Sequence[Output]:
        """Purchases that nobody has read yet."""
        topic, partition, *_ = arrival.route.origin
        ruleset, read, answer = arrival.ruleset, self._intake.purchase, self._answer
        plan = ruleset.plan
        outputs: list[Output] = []
        for offset, timestamp_ms, key, value, headers in unpack_bundle(arrival.record.value or b""):
            origin = _origin((topic, partition, offset, timestamp_ms))
            try:
                purchase, amount_minor = read(value, timestamp_ms, plan)
            except RefusedError as error:
                letter = dead_letter_of(key, value, headers, origin, error.reason, error.detail)
                outputs += with_refusals([letter])
                continue
            case = quick_case((ruleset, key, value, headers, origin, (), False))
            if key == purchase.account_id.encode():
                outputs += answer(case, purchase, amount_minor)
            else:
                outputs.append(forwarded(case, purchase.account_id))
        return outputs

    def _purchase(self, arrival: Arrival) -> Sequence[Output]:
        if arrival.route.stops:
            return [dead_letter(arrival.record, ASSESSMENTS, FOREIGN, "it has not been at all its stations")]
        read = read_purchase(arrival, ASSESSMENTS)
        if isinstance(read, Output):
            return [read]
        record, route, headers, ruleset = arrival
        key = record.key if route.has_account_key else route.key
        case = Case(ruleset, key, record.value, headers, route.origin, route.stamps, route.late)
        return self._answer(case, *read)

    def _answer(self, case: Case, purchase: PurchaseFields, amount_minor: int) -> Sequence[Output]:
        """A purchase's decision: the one that it was given before, or a new one."""
        account_id, transaction = purchase.account_id, transaction_hash(purchase.transaction_id)
        account = self._decider.accounts.get(account_id)
        first = self._decided.find_of(account, transaction)
        if first is not None:
            fields = differing_fields(first.body, body_of(purchase))
            if fields:
                return conflict(case, purchase, fields)
            self._tally.repeats += 1
            return decision_outputs(account_id, first.action, first.text, case)
        ruleset, _, _, _, _, stamps, late = case
        decider = self._decider
        now_ms = max(decider.now_ms, purchase.event_time)
        passed: Sequence[SettlementResult] = ()
        if self._settling.is_due(now_ms):
            passed = self._settling.pass_time(ruleset.plan, account_id, now_ms)
        values, decision = decider.decide(ruleset, account, purchase, amount_minor, transaction, stamps, late=late)
        if decision is None:
            text, action = ruleset.approval_text(purchase, values), _APPROVE
            self._decided.keep_plain(account, ruleset, purchase, transaction, values, decider.now_ms)
            self._tally.plain += 1
        else:
            text, action = encode_decision(decision), Action(decision.action)
            self._decided.keep(decision, purchase, transaction, decider.now_ms)
            self._tally.note(decision)
        outputs = decision_outputs(account_id, action, text, case)
        outputs += self._answers.decided(account_id, transaction, text)
        if passed or action is Action.BLOCK or self._settling.waiting.count:
            settled = self._settled(ruleset.plan, account_id, transaction, action)
            outputs += announced([*passed, *settled])
        return outputs

    def _settled(
        self, plan: RulesetPlan, account_id: str, transaction: bytes, action: Action
    ) -> Sequence[SettlementResult]:
        """What comes of the decision on a purchase for those who have settled it already."""
        settling = self._settling
        settled: list[SettlementResult] = []
        if action is Action.BLOCK:
            told = self._answers.find(account_id, transaction)
            settled += settling.tell(plan, account_id, transaction, told)
        if settling.waiting.count:
            settled += settling.apply_waiting(plan, account_id, transaction)
        return settled
