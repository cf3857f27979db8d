"""The desk: knows the accounts, decides on the purchases that arrive with all their stamps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson

from models.account import InvalidAccountRecord, decode_credit_limit, decode_repayment
from models.decision import Action, Decision, encode_decision
from models.money import MoneyError, convert_minor
from models.purchase import Purchase
from rules.account import Account, Accounts
from rules.anomaly import Observation, Population, Score, learn, score
from rules.calendar import period_clock
from rules.credit import Available
from rules.dead_letter import CONFLICT, FOREIGN, dead_letter, dead_letter_of_route
from rules.decided import Decided, FirstDecision
from rules.entity import entity_key, transaction_hash
from rules.fold import Headers, Output, Record
from rules.language.compile import CompiledRuleset, Verdict
from rules.logbook import Book, Logbook
from rules.plan import EntityPlan
from rules.route import CREDIT_LIMIT, PURCHASE, REPAYMENT, Route
from rules.rulesets import Rulesets
from rules.step import ASSESSMENTS, Arrival, read_arrival, read_purchase
from rules.velocity import EntityLogs, FeatureValue, Subject, measure
from rules.watermark import Watermark

DECISIONS: Final = "decisions"
BLOCKED: Final = "decisions.blocked"
FLAGGED: Final = "decisions.flagged"
# Broker timestamp of the purchase, for those who measure how long its decision took.
RECEIVED_HEADER: Final = "received-ms"

_POPULATION: Final = b"Q"
_UNKNOWN = FeatureValue(None)
# A ruleset's currency changed and it has no rate for the old one: the account's credit is unknown.
_CREDIT_UNKNOWN: Final = "credit-unknown"


class Assessment(NamedTuple):
    """All that the rules look at for one purchase."""

    subject: Subject
    values: list[FeatureValue]
    available: Available
    score: Score | None
    late: bool
    degraded: list[str]


class Desk:
    """The fold over one partition of assessments."""

    def __init__(self, rulesets: Rulesets, notice: Callable[[Decision | None], None] | None = None) -> None:
        """`notice` hears of each decision as it is made, and of repeats (None)."""
        self._rulesets = rulesets
        self._notice = notice
        self._accounts = Accounts()
        self._logbook = Logbook()
        self._decided = Decided()
        self._population = Population()
        self._population_learned = False
        self._watermark = Watermark()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take everything back from its state records."""
        for part in (self._accounts, self._logbook, self._decided, self._watermark):
            part.restore(records)
        if _POPULATION in records:
            self._population = Population.decode(records[_POPULATION])

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        changed: list[tuple[bytes, bytes | None]] = []
        for part in (self._accounts, self._logbook, self._decided, self._watermark):
            changed += part.changes()
        if self._population_learned:
            changed.append((_POPULATION, self._population.encode()))
            self._population_learned = False
        return changed

    def apply(self, record: Record) -> Sequence[Output]:
        """Take one assessment. Raises StateNotReadyError while its ruleset has not arrived."""
        arrival = read_arrival(record, ASSESSMENTS, self._rulesets)
        if isinstance(arrival, Output):
            return [arrival]
        try:
            if arrival.route.kind == PURCHASE:
                return self._purchase(arrival)
            if arrival.route.kind == CREDIT_LIMIT:
                return self._credit_limit(arrival)
            if arrival.route.kind == REPAYMENT:
                return self._repayment(arrival)
        except (InvalidAccountRecord, MoneyError) as error:
            return [dead_letter(record, ASSESSMENTS, FOREIGN, str(error))]
        return [dead_letter(record, ASSESSMENTS, FOREIGN, f"{arrival.route.kind!r} is no kind of record")]

    def _credit_limit(self, arrival: Arrival) -> Sequence[Output]:
        limit = decode_credit_limit(arrival.record.value or b"")
        self._accounts.get(limit.account_id).credit.set_limit(limit.credit_limit, limit.currency, limit.event_time)
        self._accounts.touch(limit.account_id)
        return []

    def _repayment(self, arrival: Arrival) -> Sequence[Output]:
        repayment, plan = decode_repayment(arrival.record.value or b""), arrival.ruleset.plan
        amount_minor = convert_minor(repayment.amount, repayment.currency, plan.currency, plan.rates)
        credit = self._accounts.get(repayment.account_id).credit
        if credit.repay(repayment.repayment_id, amount_minor, plan.currency, plan.rates):
            self._accounts.touch(repayment.account_id)
        return []

    def _purchase(self, arrival: Arrival) -> Sequence[Output]:
        read = read_purchase(arrival, ASSESSMENTS)
        if isinstance(read, Output):
            return [read]
        purchase, amount_minor = read
        transaction, body = transaction_hash(purchase.transaction_id), _body_hash(purchase)
        first = self._decided.find(purchase.account_id, transaction)
        if first is None:
            return self._decide(arrival, purchase, amount_minor, transaction, body)
        if first.body == body:
            if self._notice is not None:
                self._notice(None)
            return _announced(first, arrival)
        detail = f"transaction {purchase.transaction_id} was decided with another body: give it a new transaction_id"
        return [dead_letter_of_route(arrival.record, arrival.route, arrival.sender_headers, CONFLICT, detail)]

    def _decide(
        self, arrival: Arrival, purchase: Purchase, amount_minor: int, transaction: bytes, body: bytes
    ) -> Sequence[Output]:
        ruleset, account = arrival.ruleset, self._accounts.get(purchase.account_id)
        known = self._knows(ruleset, purchase, transaction)
        subject = Subject(purchase, amount_minor, transaction, known)
        assessment = self._assess(arrival, subject, account)
        verdict = ruleset.evaluate(
            purchase,
            amount_minor,
            [value.value for value in assessment.values],
            [value.clears for value in assessment.values],
            assessment.score.value if assessment.score is not None else None,
            assessment.available.available_minor,
            assessment.available.limit_minor,
        )
        decision = _decision(ruleset, assessment, verdict)
        if self._notice is not None:
            self._notice(decision)
        if not known:
            self._learn(ruleset, account, assessment, verdict.action)
        first = FirstDecision(
            purchase.account_id,
            transaction,
            body,
            purchase.event_time,
            verdict.action,
            encode_decision(decision),
        )
        self._decided.keep(first, self._watermark.latest_ms)
        self._logbook.sweep(self._watermark.latest_ms)
        return _announced(first, arrival)

    def _knows(self, ruleset: CompiledRuleset, purchase: Purchase, transaction: bytes) -> bool:
        """Whether the account's logs hold this transaction, though its decision is no longer kept."""
        for plan in ruleset.plan.desk:
            key = entity_key(plan.entity, purchase)
            if key is not None:
                knows = self._logbook.knows
                return knows(key, transaction) or knows(key, transaction, Book.DECLINED)
        return False

    def _assess(self, arrival: Arrival, subject: Subject, account: Account) -> Assessment:
        ruleset, purchase = arrival.ruleset, subject.purchase
        plan, degraded = ruleset.plan, list[str]()
        values: list[FeatureValue] = []
        for entity in plan.desk:
            values += self._measured(ruleset, entity, subject)
        stamps = dict(arrival.route.stamps)
        for entity in plan.stations:
            stamp = stamps.get(",".join(entity.entity))
            values += (
                [FeatureValue(value, tuple(clears)) for value, clears in stamp]
                if stamp
                else [_UNKNOWN] * len(entity.features)
            )
        try:
            available = account.credit.available(plan.currency, plan.rates)
        except MoneyError:
            available = Available(None, None)
            degraded.append(_CREDIT_UNKNOWN)
        unusual = None
        if plan.uses_anomaly:
            unusual = score(account.profile, self._population, _observed(ruleset, subject))
        late = purchase.event_time < account.latest_ms - plan.allowed_lateness_ms
        return Assessment(subject, values, available, unusual, late, degraded)

    def _measured(self, ruleset: CompiledRuleset, plan: EntityPlan, subject: Subject) -> list[FeatureValue]:
        key = entity_key(plan.entity, subject.purchase)
        if key is None:
            return [_UNKNOWN] * len(plan.features)
        time_ms = subject.purchase.event_time
        logs = EntityLogs(
            self._logbook.prepare(ruleset.plan, plan, key, time_ms),
            self._logbook.prepare(ruleset.plan, plan, key, time_ms, Book.DECLINED),
        )
        return measure(plan, logs, subject, period_clock(ruleset.plan.time_zone))

    def _learn(self, ruleset: CompiledRuleset, account: Account, assessment: Assessment, action: Action) -> None:
        """Enter the purchase where its outcome belongs; only now that it is decided."""
        subject = assessment.subject
        purchase, plan = subject.purchase, ruleset.plan
        book = Book.DECLINED if action is Action.BLOCK else Book.APPROVED
        for entity in plan.desk:
            key = entity_key(entity.entity, purchase)
            if key is not None:
                self._logbook.enter(plan, entity, key, subject, book)
        if action is not Action.BLOCK and _CREDIT_UNKNOWN not in assessment.degraded:
            account.credit.use(subject.amount_minor, plan.currency, plan.rates)
        account.latest_ms = max(account.latest_ms, purchase.event_time)
        self._accounts.touch(purchase.account_id)
        if assessment.score is not None:
            learn(account.profile, self._population, _observed(ruleset, subject), assessment.score)
            self._accounts.learned(purchase.account_id)
            self._population_learned = True
        self._watermark.advance(purchase.event_time)


def _observed(ruleset: CompiledRuleset, subject: Subject) -> Observation:
    purchase = subject.purchase
    local = period_clock(ruleset.plan.time_zone).local(purchase.event_time)
    return Observation(
        purchase.event_time,
        subject.amount_minor,
        local.hour + local.minute / 60,
        purchase.merchant_id,
        purchase.mcc,
        purchase.country,
        purchase.device_id,
    )


def _decision(ruleset: CompiledRuleset, assessment: Assessment, verdict: Verdict) -> Decision:
    purchase, unusual = assessment.subject.purchase, assessment.score
    return Decision(
        transaction_id=purchase.transaction_id,
        account_id=purchase.account_id,
        action=verdict.action,
        reasons=verdict.reasons,
        shadow=verdict.shadow,
        anomaly=unusual.value if unusual is not None else None,
        contributions=list(unusual.contributions) if unusual is not None else [],
        features={
            feature.name: value.value for feature, value in zip(ruleset.plan.features, assessment.values, strict=True)
        },
        ruleset=ruleset.id,
        ruleset_version=ruleset.version,
        amount=purchase.amount,
        currency=purchase.currency,
        event_time=purchase.event_time,
        late=assessment.late,
        degraded=assessment.degraded,
    )


def _announced(first: FirstDecision, arrival: Arrival) -> Sequence[Output]:
    """A decision, on every topic that it belongs to."""
    key = first.account_id.encode()
    headers: Headers = (
        *arrival.sender_headers,
        (RECEIVED_HEADER, str(_received_ms(arrival.route)).encode()),
    )
    topics = [DECISIONS]
    if first.action is not Action.APPROVE:
        topics.append(BLOCKED if first.action is Action.BLOCK else FLAGGED)
    return [Output(topic, key, first.text, headers) for topic in topics]


def _received_ms(route: Route) -> int:
    return route.origin[3]


def _body_hash(purchase: Purchase) -> bytes:
    """8 bytes that differ for another purchase, however its JSON was written. BLAKE2b (RFC 7693)."""
    fields = vars(purchase)
    if purchase.attributes:
        fields = {**fields, "attributes": sorted(purchase.attributes.items())}
    text = orjson.dumps(fields, default=vars)
    return blake2b(text, digest_size=8).digest()
