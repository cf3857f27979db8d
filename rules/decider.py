"""The decider: measures a purchase against all that is known of its account, judges it, and learns the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from models.account import CreditLimit, Repayment
from models.decision import Action, Decision
from models.money import MoneyError, convert_minor
from models.purchase_fields import PurchaseFields
from rules.account import Account
from rules.accounts import Accounts
from rules.anomaly import Observation, Population, Score, learn, score
from rules.approval_text import approval
from rules.calendar import period_clock
from rules.clearing import Clears
from rules.entity import entity_key
from rules.entity_books import Book, EntityBooks
from rules.holder import Holder
from rules.language.compile import CompiledRuleset, Verdict
from rules.language.facts import Facts
from rules.logbook import Logbook
from rules.plan import EntityPlan, RulesetPlan
from rules.reservation import Reservation
from rules.reservations import Reservations
from rules.route import Stamp
from rules.velocity import Subject, subject_of, values_of
from rules.watermark import Watermark

_POPULATION: Final = b"Q"
# A ruleset's currency changed and it has no rate for the old one: the account's credit is unknown.
_CREDIT_UNKNOWN: Final = "credit-unknown"

# What the rules say where none of them matches.
_NOTHING: Final = Verdict(Action.APPROVE, False, [], [])


# An entity that is counted with the account, as a purchase finds it: its plan, itself and its books. No books, and the
# account in its place, where the purchase lacks a field of it.
Visit = tuple[EntityPlan, Holder, EntityBooks | None]


def decision_of(
    ruleset: CompiledRuleset,
    purchase: PurchaseFields,
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


def approval_of(ruleset: CompiledRuleset, purchase: PurchaseFields, values: Sequence[int | None]) -> Decision:
    """The decision on a purchase of which there is nothing to tell but the values of the plan's features."""
    return approval(ruleset.id, ruleset.version, ruleset.plan.feature_names, purchase, values)


class Decider:
    """What is known of the accounts of one partition, and how it decides on their purchases."""

    def __init__(self, reservations: Reservations | None = None) -> None:
        """`reservations` are opened with each purchase that is learned, where settlements are taken."""
        self.accounts = reservations.accounts if reservations is not None else Accounts()
        self._reservations = reservations
        self._logbook = Logbook(self.accounts, moves=reservations is not None)
        self._population = Population()
        self._population_learned = False
        self._watermark = Watermark()

    @property
    def now_ms(self) -> int:
        """The latest event time that was seen, epoch milliseconds."""
        return self._watermark.latest_ms

    def restore(self, records: Mapping[bytes, bytes], others: Mapping[bytes, bytes]) -> None:
        """Take everything back from its state records; `others` are those that are of no log."""
        for part in (self.accounts, self._watermark):
            part.restore(others)
        self._logbook.restore(records)
        if _POPULATION in others:
            self._population = Population.decode(others[_POPULATION])

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
        account = self.accounts.get(limit.account_id)
        account.set_limit(limit.credit_limit, limit.currency, limit.event_time)
        self.accounts.agreed(account)

    def repay(self, plan: RulesetPlan, repayment: Repayment) -> None:
        """Free an account's credit, once for each repayment. Raises MoneyError where a rate is missing."""
        amount_minor = convert_minor(repayment.amount, repayment.currency, plan.currency, plan.rates)
        account = self.accounts.get(repayment.account_id)
        if account.repay(repayment.repayment_id, amount_minor, plan.currency, plan.rates):
            self.accounts.touch(account)
            self.accounts.agreed(account)

    def follow(self, plan: RulesetPlan, account_id: str, before: Reservation, after: Reservation) -> None:
        """Let an account's credit, and the logs of its outcomes, follow what became of one of its purchases.

        Raises MoneyError where a rate is missing for that; then nothing has changed.
        """
        held_minor = after.held_minor - before.held_minor
        if held_minor:
            account = self.accounts.get(account_id)
            account.shift(held_minor, after.currency, plan.currency, plan.rates)
            self.accounts.touch(account)
        self.follow_outcome(plan, account_id, before, after)

    def follow_outcome(self, plan: RulesetPlan, account_id: str, before: Reservation, after: Reservation) -> None:
        """Let the logs of an account's outcomes alone follow what became of one of its purchases."""
        if after.book is not before.book:
            now_ms = self._watermark.latest_ms
            self._logbook.move(account_id, after.transaction, before.book, after.book, plan.max_rows, now_ms)

    def decide(
        self,
        ruleset: CompiledRuleset,
        account: Account,
        purchase: PurchaseFields,
        amount_minor: int,
        transaction: bytes,
        stamps: Sequence[Stamp],
        *,
        late: bool,
    ) -> tuple[Sequence[int | None], Decision | None]:
        """Decide on a purchase of an account of `accounts`; learn it, unless its transaction was learned before.

        `late` says that it was late at a station already. Returns the values of the plan's features, and the decision
        unless it is a plain approval (`approval_of`), as most are.
        """
        plan = ruleset.plan
        visits, known = self._visit(plan, account, purchase, transaction)
        subject = subject_of((purchase, amount_minor, transaction, known))
        values = _measure(ruleset, visits, subject, stamps)
        degraded: Sequence[str] = ()
        available_minor = limit_minor = None
        if plan.uses_credit:
            try:
                available_minor, limit_minor = account.available(plan.currency, plan.rates)
            except MoneyError:
                degraded = (_CREDIT_UNKNOWN,)
        unusual = score(account.profile, self._population, _observed(plan, subject)) if plan.uses_anomaly else None
        anomaly = unusual.value if unusual is not None else None
        hits = ruleset.hits(purchase, amount_minor, values, anomaly, available_minor, limit_minor)
        verdict = _NOTHING
        if hits:
            clears = LazyClears(ruleset, visits, values, stamps, subject)
            facts = Facts(purchase, amount_minor, values, clears, anomaly, available_minor, limit_minor, ruleset.clock)
            verdict = ruleset.verdict(hits, facts)
        late = late or purchase.event_time < account.latest_ms - plan.allowed_lateness_ms
        if not known:
            self._learn(plan, account, subject, visits, declined=verdict.action is Action.BLOCK)
            if unusual is not None:
                self._learn_habits(plan, account, subject, unusual)
        if not hits and not late and unusual is None and not degraded:
            return values, None
        return values, decision_of(ruleset, purchase, values, verdict, unusual, degraded, late=late)

    def learn_fraud(self, plan: RulesetPlan, purchase: PurchaseFields, amount_minor: int, transaction: bytes) -> None:
        """Enter a purchase that a label says to be fraud, whether it was decided on or not."""
        subject = Subject(purchase, amount_minor, transaction)
        for entity in plan.fraud_desk:
            key = entity_key(entity.entity, purchase)
            if key is not None:
                self._logbook.enter_fraud(plan, entity, key, subject, self._watermark.latest_ms)

    def _visit(
        self, plan: RulesetPlan, account: Account, purchase: PurchaseFields, transaction: bytes
    ) -> tuple[list[Visit], bool]:
        """The entities that a purchase finds, and whether its transaction was learned before."""
        logbook, now_ms, event_time_ms, known = self._logbook, self._watermark.latest_ms, purchase.event_time, False
        visits: list[Visit] = []
        for entity in plan.desk:
            holder: Holder = account
            if not entity.is_account:
                key = entity_key(entity.entity, purchase)
                if key is None:
                    visits.append((entity, account, None))
                    continue
                holder = logbook.holders.get(key)
            books, found = logbook.visit(plan, entity, holder, transaction, event_time_ms, now_ms)
            known = known or found
            visits.append((entity, holder, books))
        return visits, known

    def _learn(
        self, plan: RulesetPlan, account: Account, subject: Subject, visits: Sequence[Visit], *, declined: bool
    ) -> None:
        """Enter the purchase where its outcome belongs; only now that it is decided."""
        event_time_ms, logbook, watermark = subject.purchase.event_time, self._logbook, self._watermark
        book = Book.DECLINED if declined else Book.APPROVED
        for entity, holder, books in visits:
            if books is not None:
                logbook.enter(plan, entity, holder, books, subject, book)
        self._reserve(plan, account, subject, declined=declined)
        if event_time_ms > account.latest_ms:
            account.latest_ms = event_time_ms
        self.accounts.touch(account)
        if event_time_ms > watermark.latest_ms:
            watermark.advance(event_time_ms)
        logbook.sweep(watermark.latest_ms)

    def _learn_habits(self, plan: RulesetPlan, account: Account, subject: Subject, unusual: Score) -> None:
        learn(account.profile, self._population, _observed(plan, subject), unusual)
        self.accounts.learned(account)
        self._population_learned = True

    def _reserve(self, plan: RulesetPlan, account: Account, subject: Subject, *, declined: bool) -> None:
        reservations, currency = self._reservations, plan.currency
        # Used in a currency that the ruleset has no rate for: what is asked of it is unknown too.
        takes = not declined and (account.currency == currency or account.reckons_in(currency, plan.rates))
        unreckoned = not takes and not declined
        # A purchase may be decided again when its decision, but not its reservation, is forgotten.
        if (
            reservations is None or reservations.begin(account, plan, subject, declined=declined, unreckoned=unreckoned)
        ) and takes:
            account.use(subject.amount_minor, currency, plan.rates)


def _measure(
    ruleset: CompiledRuleset, visits: Sequence[Visit], subject: Subject, stamps: Sequence[Stamp]
) -> list[int | None]:
    """The values of a ruleset's features, in its plan's order."""
    # Not `list[...]()`, which makes the type anew each time and costs more than to measure a feature.
    values: list[int | None] = []
    clock = ruleset.clock
    for entity, _, books in visits:
        values += values_of(entity)(books, subject, clock) if books is not None else [None] * len(entity.features)
    stations = ruleset.plan.stations
    if stations:
        stamped = dict(stamps)
        for entity in stations:
            stamp = stamped.get(entity.name)
            values += [value for value, _ in stamp] if stamp else [None] * len(entity.features)
    return values


class LazyClears(Sequence[Clears]):
    """For each of a plan's features, when its comparisons end to hold: worked out for those that are asked."""

    __slots__ = ("_ruleset", "_stamps", "_subject", "_values", "_visits")

    def __init__(
        self,
        ruleset: CompiledRuleset,
        visits: Sequence[Visit],
        values: Sequence[int | None],
        stamps: Sequence[Stamp],
        subject: Subject,
    ) -> None:
        self._ruleset = ruleset
        self._visits = visits
        self._values = values
        self._stamps = stamps
        self._subject = subject

    def __len__(self) -> int:
        return len(self._ruleset.plan.features)

    def __getitem__(self, slot: int) -> Clears:  # pyright: ignore[reportIncompatibleMethodOverride]  # never sliced
        of_desk = self._ruleset.desk_clearers
        if slot < len(of_desk):
            number, clearer = of_desk[slot]
            _, _, books = self._visits[number]
            if books is None:
                return ()
            return clearer.clears(self._values[slot], books, self._subject, self._ruleset.clock)
        number = slot - len(of_desk)
        stamped = dict(self._stamps)
        for entity in self._ruleset.plan.stations:
            if number < len(entity.features):
                stamp = stamped.get(entity.name)
                return stamp[number][1] if stamp else ()
            number -= len(entity.features)
        raise IndexError(slot)


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
