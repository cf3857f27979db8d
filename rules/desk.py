"""The desk: decides on the purchases that arrive with all their stamps, once each, and keeps accounts' credit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from models.account import InvalidAccountRecord, decode_credit_limit, decode_repayment
from models.decision import Action, Decision, InvalidDecision, encode_decision
from models.inquiry import InvalidInquiry, decode_inquiry
from models.money import MoneyError
from models.purchase_fields import PurchaseFields
from models.reconciliation import Reconciliation
from models.settlement import InvalidSettlement, SettlementResult, decode_settlement
from rules.accounts import Accounts
from rules.answered import Answers
from rules.body import body_of, differing_fields
from rules.bundle import InvalidBundleError, unpack_bundle
from rules.dead_letter import CONFLICT, FOREIGN, RefusedError, dead_letter, dead_letter_of
from rules.decided import Decided
from rules.decider import Decider
from rules.degraded_text import read_answer
from rules.entity import transaction_hash
from rules.fold import Headers, Output, SourceRecord
from rules.intake import MAX_AHEAD_MS, Intake
from rules.language.compile import CompiledRuleset
from rules.packed_books import LOG
from rules.reply import (
    CONFLICTING,
    SETTLED,
    UNKNOWN,
    reply,
    reply_json,
    reply_to,
    with_refusals,
)
from rules.reply import DECISION as DECIDED
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
    Route,
    Stamp,
)
from rules.rulesets import Rulesets, reference_of
from rules.settling import Settling, announced
from rules.step import ASSESSMENTS, Arrival, onward, read_arrival, read_label, read_purchase

DECISIONS: Final = "decisions"
BLOCKED: Final = "decisions.blocked"
FLAGGED: Final = "decisions.flagged"
# Broker timestamp of the purchase, for those who measure how long its decision took.
RECEIVED_HEADER: Final = "received-ms"
_UNREADABLE: Final = (
    InvalidAccountRecord,
    InvalidBundleError,
    InvalidDecision,
    InvalidInquiry,
    InvalidSettlement,
    MoneyError,
)


class Case(NamedTuple):
    """A purchase at the desk: as it first came in, with what its stations measured."""

    ruleset: CompiledRuleset
    key: bytes | None
    value: bytes | None
    headers: Headers
    origin: Origin
    stamps: Sequence[Stamp] = ()
    late: bool = False


class Desk:
    """The fold over one partition of assessments."""

    def __init__(
        self,
        rulesets: Rulesets,
        notice: Callable[[Decision | None], None] | None = None,
        max_ahead_ms: int = MAX_AHEAD_MS,
        notice_answer: Callable[[Reconciliation | None], None] | None = None,
    ) -> None:
        """`notice` hears of each decision as it is made, and of repeats (None).

        `notice_answer` hears of each degraded answer as it is reconciled, and of those that never are (None).
        """
        self._rulesets = rulesets
        self._notice = notice
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
        ruleset, read = arrival.ruleset, self._intake.purchase
        plan = ruleset.plan
        outputs: list[Output] = []
        for offset, timestamp_ms, key, value, headers in unpack_bundle(arrival.record.value or b""):
            try:
                purchase, amount_minor = read(value, timestamp_ms, plan)
            except RefusedError as error:
                origin = Origin(topic, partition, offset, timestamp_ms)
                letter = dead_letter_of(key, value, headers, origin, error.reason, error.detail)
                outputs += with_refusals([letter])
                continue
            case = Case(ruleset, key, value, headers, Origin(topic, partition, offset, timestamp_ms))
            if key == purchase.account_id.encode():
                outputs += self._answer(case, purchase, amount_minor)
            else:
                outputs.append(_forwarded(case, purchase.account_id))
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
                return _conflict(case, purchase, fields)
            if self._notice is not None:
                self._notice(None)
            return _announced(first.account_id, first.action, first.text, case)
        decider, settling = self._decider, self._settling
        plan = case.ruleset.plan
        settled: Sequence[SettlementResult] = ()
        now_ms = max(decider.now_ms, purchase.event_time)
        if settling.next_ms <= now_ms:
            settled = settling.pass_time(plan, account_id, now_ms)
        decision = decider.decide(case.ruleset, purchase, amount_minor, transaction, case.stamps, late=case.late)
        text, action = encode_decision(decision), decision.action
        if _is_plain(decision):
            values = [*decision.features.values()]
            self._decided.keep_plain(account, case.ruleset, purchase, transaction, values, decider.now_ms)
        else:
            self._decided.keep(decision, purchase, transaction, decider.now_ms)
        outputs = _announced(account_id, action, text, case)
        outputs += self._answers.decided(account_id, transaction, text)
        if action == Action.BLOCK:
            told = self._answers.find(account_id, transaction)
            settled = [*settled, *settling.tell(plan, account_id, transaction, told)]
        if settling.waiting:
            settled = [*settled, *settling.apply_waiting(plan, account_id, transaction)]
        if self._notice is not None:
            self._notice(decision)
        if settled:
            outputs += announced(settled)
        return outputs


def _is_plain(decision: Decision) -> bool:
    """Whether a purchase was approved, and nothing else is said of it."""
    _, _, action, reasons, shadow, anomaly, _, _, _, _, _, _, _, late, degraded = decision
    return action is Action.APPROVE and not (reasons or shadow or anomaly is not None or late or degraded)


def _forwarded(case: Case, account_id: str) -> Output:
    """A purchase whose key is not its account's, on its way to the desk that has the account."""
    route = Route(PURCHASE, reference_of(case.ruleset), case.origin, case.key, has_account_key=False)
    return onward(account_id, case.value, case.headers, route)


def _conflict(case: Case, purchase: PurchaseFields, fields: Sequence[str]) -> Sequence[Output]:
    """A purchase whose transaction was decided with another body."""
    detail = (
        f"transaction {purchase.transaction_id} was decided with another body, {', '.join(fields)} "
        f"{'differs' if len(fields) == 1 else 'differ'}: give it a new transaction_id"
    )
    letter = dead_letter_of(case.key, case.value, case.headers, case.origin, CONFLICT, detail)
    to = reply_to(case.headers)
    return [letter] if to is None else [letter, reply_json(to, CONFLICTING, {"fields": list(fields), "detail": detail})]


def _announced(account_id: str, action: str, text: bytes, case: Case) -> list[Output]:
    """A decision, on every topic that it belongs to."""
    key, sent = account_id.encode(), case.headers
    headers: Headers = (*sent, (RECEIVED_HEADER, b"%d" % case.origin.timestamp_ms))
    outputs = [Output(DECISIONS, key, text, headers)]
    if action != Action.APPROVE:
        outputs.append(outputs[0]._replace(topic=BLOCKED if action == Action.BLOCK else FLAGGED))
    to = reply_to(sent) if sent else None
    if to is not None:
        outputs.append(reply(to, DECIDED, text))
    return outputs


def received_ms_of(headers: Sequence[tuple[str, bytes]]) -> int:
    """The broker's timestamp of the purchase that a decision with these headers is on, epoch milliseconds."""
    name, received = headers[-1]
    assert name == RECEIVED_HEADER, "a decision's own header is its last"
    return int(received)
