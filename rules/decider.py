"""The decider: measures a purchase against all that is known of its account, judges it, and learns the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from models.account import CreditLimit, Repayment
from models.decision import Action, Decision
from models.money import MoneyError, convert_minor
from models.purchase import Purchase
from rules.account import Account, Accounts
from rules.anomaly import Observation, Population, Score, learn, score
from rules.calendar import period_clock
from rules.credit import Available
from rules.entity import entity_key
from rules.entity_books import Book, EntityBooks
from rules.language.compile import CompiledRuleset, Verdict
from rules.language.facts import Facts
from rules.logbook import Logbook
from rules.plan import EntityPlan, RulesetPlan
from rules.reservation import Reservation
from rules.reservations import Reservations
from rules.route import Stamp
from rules.velocity import Cut, Program, Subject, clears_of, cuts_of, program_of, values_of
from rules.watermark import Watermark

_POPULATION: Final = b"Q"
# A ruleset's currency changed and it has no rate for the old one: the account's credit is unknown.
_CREDIT_UNKNOWN: Final = "credit-unknown"
_NO_CREDIT: Final = Available(None, None)

Clears = Sequence[int | None]


class Visit(NamedTuple):
    """An entity that is counted with the account, as this purchase finds it."""

    plan: EntityPlan
    key: str
    books: EntityBooks | None


class Measured(NamedTuple):
    """One entity's features, and the rows that they were measured on."""

    program: Program
    cuts: Sequence[Cut]
    values: Sequence[int | None]


class Assessment(NamedTuple):
    """All that the rules look at for one purchase, `values` in the order of the plan's features."""

    subject: Subject
    measured: Sequence[Measured | None]
    values: Sequence[int | None]
    available: Available
    unusual: Score | None
    late: bool
    degraded: list[str]


def decision_of(
    ruleset: CompiledRuleset,
    purchase: Purchase,
    values: Sequence[int | None],
    verdict: Verdict,
    unusual: Score | None = None,
    degraded: Sequence[str] = (),
    *,
    late: bool = False,
) -> Decision:
    """The decision on a purchase, `values` in the order of the plan's features."""
    # By position: the fields in their order cost half of what they cost by name.
    return Decision(
        purchase.transaction_id,
        purchase.account_id,
        verdict.action,
        verdict.reasons,
        verdict.shadow,
        unusual.value if unusual is not None else None,
        list(unusual.contributions) if unusual is not None else [],
        dict(zip(ruleset.plan.feature_names, values, strict=True)),
        ruleset.id,
        ruleset.version,
        purchase.amount,
        purchase.currency,
        purchase.event_time,
        late,
        list(degraded),
    )


class Decider:
    """What is known of the accounts of one partition, and how it decides on their purchases."""

    def __init__(self, reservations: Reservations | None = None) -> None:
        """`reservations` are opened with each purchase that is learned, where settlements are taken."""
        self.accounts = Accounts()
        self._reservations = reservations
        self._logbook = Logbook(of_accounts=reservations is not None)
        self._population = Population()
        self._population_learned = False
        self._watermark = Watermark()

    @property
    def now_ms(self) -> int:
        """The latest event time that was seen, epoch milliseconds."""
        return self._watermark.latest_ms

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take everything back from its state records."""
        for part in (self.accounts, self._logbook, self._watermark):
            part.restore(records)
        if _POPULATION in records:
            self._population = Population.decode(records[_POPULATION])

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        changed = [*self.accounts.changes(), *self._logbook.changes(), *self._watermark.changes()]
        if self._population_learned:
            changed.append((_POPULATION, self._population.encode()))
            self._population_learned = False
        return changed

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        self.accounts.settle()
        self._logbook.settle()
        self._population_learned = False

    def set_limit(self, limit: CreditLimit) -> None:
        """Give an account its credit limit."""
        self.accounts.get(limit.account_id).credit.set_limit(limit.credit_limit, limit.currency, limit.event_time)
        self.accounts.touch(limit.account_id)

    def repay(self, plan: RulesetPlan, repayment: Repayment) -> None:
        """Free an account's credit, once for each repayment. Raises MoneyError where a rate is missing."""
        amount_minor = convert_minor(repayment.amount, repayment.currency, plan.currency, plan.rates)
        credit = self.accounts.get(repayment.account_id).credit
        if credit.repay(repayment.repayment_id, amount_minor, plan.currency, plan.rates):
            self.accounts.touch(repayment.account_id)

    def follow(self, plan: RulesetPlan, account_id: str, before: Reservation, after: Reservation) -> None:
        """Let an account's credit, and the logs of its outcomes, follow what became of one of its purchases.

        Raises MoneyError where a rate is missing for that; then nothing has changed.
        """
        held_minor = after.held_minor - before.held_minor
        if held_minor:
            self.accounts.get(account_id).credit.shift(held_minor, after.currency, plan.currency, plan.rates)
            self.accounts.touch(account_id)
        self.follow_outcome(plan, account_id, before, after)

    def follow_outcome(self, plan: RulesetPlan, account_id: str, before: Reservation, after: Reservation) -> None:
        """Let the logs of an account's outcomes alone follow what became of one of its purchases."""
        if after.book is not before.book:
            now_ms = self._watermark.latest_ms
            self._logbook.move(account_id, after.transaction, before.book, after.book, plan.max_rows, now_ms)

    def decide(
        self,
        ruleset: CompiledRuleset,
        purchase: Purchase,
        amount_minor: int,
        transaction: bytes,
        stamps: Sequence[Stamp],
        *,
        late: bool,
    ) -> Decision:
        """Decide on a purchase and learn it, unless its transaction was learned before.

        `late` says that it was late at a station already.
        """
        plan, account = ruleset.plan, self.accounts.get(purchase.account_id)
        visits = [self._visit(entity, purchase) for entity in plan.desk]
        known = False
        for visit in visits:
            known = known or (visit is not None and self._logbook.knows(visit.key, visit.books, transaction))
        subject = Subject(purchase, amount_minor, transaction, known)
        assessment = self._assess(ruleset, subject, account, visits, stamps, late=late)
        verdict = _judge(ruleset, assessment, stamps)
        if not known:
            self._learn(plan, account, assessment, visits, verdict.action)
            self._logbook.sweep(self._watermark.latest_ms)
        return decision_of(
            ruleset, purchase, assessment.values, verdict, assessment.unusual, assessment.degraded, late=assessment.late
        )

    def learn_fraud(self, plan: RulesetPlan, purchase: Purchase, amount_minor: int, transaction: bytes) -> None:
        """Enter a purchase that a label says to be fraud, whether it was decided on or not."""
        subject = Subject(purchase, amount_minor, transaction)
        for entity in plan.fraud_desk:
            key = entity_key(entity.entity, purchase)
            if key is not None:
                self._logbook.enter_fraud(plan, entity, key, subject, self._watermark.latest_ms)

    def _visit(self, entity: EntityPlan, purchase: Purchase) -> Visit | None:
        key = entity_key(entity.entity, purchase)
        return Visit(entity, key, self._logbook.find(key, self._watermark.latest_ms)) if key is not None else None

    def _assess(
        self,
        ruleset: CompiledRuleset,
        subject: Subject,
        account: Account,
        visits: Sequence[Visit | None],
        stamps: Sequence[Stamp],
        *,
        late: bool,
    ) -> Assessment:
        plan, degraded = ruleset.plan, list[str]()
        measured = [self._measure(plan, visit, subject) if visit is not None else None for visit in visits]
        values: list[int | None] = []
        for entity, each in zip(plan.desk, measured, strict=True):
            values += each.values if each is not None else [None] * len(entity.features)
        if plan.stations:
            stamped = dict(stamps)
            for entity in plan.stations:
                stamp = stamped.get(",".join(entity.entity))
                values += [value for value, _ in stamp] if stamp else [None] * len(entity.features)
        available = _NO_CREDIT
        if plan.uses_credit:
            try:
                available = account.credit.available(plan.currency, plan.rates)
            except MoneyError:
                degraded.append(_CREDIT_UNKNOWN)
        unusual = score(account.profile, self._population, _observed(plan, subject)) if plan.uses_anomaly else None
        late = late or subject.purchase.event_time < account.latest_ms - plan.allowed_lateness_ms
        return Assessment(subject, measured, values, available, unusual, late, degraded)

    def _measure(self, plan: RulesetPlan, visit: Visit, subject: Subject) -> Measured:
        entity, key, books = visit
        logs = self._logbook.logs(plan, entity, key, books, subject.purchase.event_time)
        program = program_of(entity)
        cuts = cuts_of(program, logs, subject, period_clock(plan.time_zone))
        return Measured(program, cuts, values_of(entity, program, cuts, subject))

    def _learn(
        self,
        plan: RulesetPlan,
        account: Account,
        assessment: Assessment,
        visits: Sequence[Visit | None],
        action: Action,
    ) -> None:
        """Enter the purchase where its outcome belongs; only now that it is decided."""
        subject, event_time_ms = assessment.subject, assessment.subject.purchase.event_time
        book = Book.DECLINED if action is Action.BLOCK else Book.APPROVED
        for visit in visits:
            if visit is not None:
                self._logbook.enter(plan, visit.plan, visit.key, subject, book)
        self._reserve(plan, account, subject, declined=action is Action.BLOCK)
        if event_time_ms > account.latest_ms:
            account.latest_ms = event_time_ms
        self.accounts.touch(subject.purchase.account_id)
        if assessment.unusual is not None:
            learn(account.profile, self._population, _observed(plan, subject), assessment.unusual)
            self.accounts.learned(subject.purchase.account_id)
            self._population_learned = True
        self._watermark.advance(event_time_ms)

    def _reserve(self, plan: RulesetPlan, account: Account, subject: Subject, *, declined: bool) -> None:
        reservations = self._reservations
        # Used in a currency that the ruleset has no rate for: what is asked of it is unknown too.
        unreckoned = not declined and not account.credit.reckons_in(plan.currency, plan.rates)
        # A purchase may be decided again when its decision, but not its reservation, is forgotten.
        begun = reservations is None or reservations.begin(plan, subject, declined=declined, unreckoned=unreckoned)
        if begun and not declined and not unreckoned:
            account.credit.use(subject.amount_minor, plan.currency, plan.rates)


class LazyClears(Sequence[Clears]):
    """For each of a plan's features, when its comparisons end to hold: worked out for those that are asked."""

    def __init__(self, plan: RulesetPlan, assessment: Assessment, stamps: Sequence[Stamp]) -> None:
        self._plan = plan
        self._assessment = assessment
        self._stamps = dict(stamps)

    def __len__(self) -> int:
        return len(self._plan.features)

    def __getitem__(self, slot: int) -> Clears:  # pyright: ignore[reportIncompatibleMethodOverride]  # never sliced
        for entity, measured in zip(self._plan.desk, self._assessment.measured, strict=True):
            if slot < len(entity.features):
                return self._of(measured, slot) if measured is not None else ()
            slot -= len(entity.features)
        for entity in self._plan.stations:
            if slot < len(entity.features):
                stamp = self._stamps.get(",".join(entity.entity))
                return stamp[slot][1] if stamp else ()
            slot -= len(entity.features)
        raise IndexError(slot)

    def _of(self, measured: Measured, number: int) -> Clears:
        probe, value = measured.program.probes[number], measured.values[number]
        clock = period_clock(self._plan.time_zone)
        return clears_of(probe, value, measured.cuts, self._assessment.subject, clock)


def _judge(ruleset: CompiledRuleset, assessment: Assessment, stamps: Sequence[Stamp]) -> Verdict:
    purchase, amount_minor, *_ = assessment.subject
    values, available = assessment.values, assessment.available
    anomaly = assessment.unusual.value if assessment.unusual is not None else None
    hits = ruleset.hits(purchase, amount_minor, values, anomaly, *available)
    if not hits:
        return Verdict(Action.APPROVE, False, [], [])
    plan = ruleset.plan
    clears, local = LazyClears(plan, assessment, stamps), period_clock(plan.time_zone).local(purchase.event_time)
    return ruleset.verdict(hits, Facts(purchase, amount_minor, values, clears, anomaly, *available, local))


def _observed(plan: RulesetPlan, subject: Subject) -> Observation:
    purchase = subject.purchase
    local = period_clock(plan.time_zone).local(purchase.event_time)
    return Observation(
        purchase.event_time,
        subject.amount_minor,
        local.hour + local.minute / 60,
        purchase.merchant_id,
        purchase.mcc,
        purchase.country,
        purchase.device_id,
    )
