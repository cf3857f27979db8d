"""The whole way of a purchase in one fold: its stations and its desk, for asking what other rules would do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from models.account import CreditLimit, Repayment
from models.decision import Decision
from models.money import MoneyError, convert_minor
from models.purchase import Purchase
from rules.decider import Decider, approval_of
from rules.entity import entity_key, transaction_hash
from rules.language.compile import CompiledRuleset
from rules.logbook import Logbook
from rules.plan import RulesetPlan
from rules.route import Stamp
from rules.sighting import sight
from rules.step import amount_in
from rules.velocity import Subject
from rules.watermark import Watermark

# After so many purchases the state's changes, which nobody writes here, are let go of.
_SETTLE_PURCHASES: Final = 4096


class Line:
    """All stations and desks under one ruleset.

    It decides as the partitioned steps do on purchases that come in the same order: to be given in canonical
    order, each transaction once. What depends on a partition, the habits of all its accounts, is kept for each
    partition of assessments, where the rules ask for it.
    """

    def __init__(self, ruleset: CompiledRuleset, partition_of: Callable[[bytes], int]) -> None:
        """`partition_of` tells the partition of assessments that an account's key lies in."""
        self._ruleset = ruleset
        self._partition_of = partition_of
        self._logbook = Logbook()
        self._watermark = Watermark()
        self._deciders: defaultdict[int, Decider] = defaultdict(Decider)
        self._unsettled = 0

    def take(self, purchase: Purchase) -> Decision | None:
        """Decide on a purchase and learn it; None, and nothing is learned, where the ruleset has no rate for it."""
        plan = self._ruleset.plan
        try:
            amount_minor = amount_in(plan, purchase)
        except MoneyError:
            return None
        stamps, late = self._stamped(plan, purchase, amount_minor)
        transaction = transaction_hash(purchase.transaction_id)
        decider = self._decider_of(purchase.account_id)
        account = decider.accounts.get(purchase.account_id)
        values, decision = decider.decide(
            self._ruleset, account, purchase, amount_minor, transaction, stamps, late=late
        )
        self._unsettled += 1
        if self._unsettled >= _SETTLE_PURCHASES:
            self._settle()
        return decision or approval_of(self._ruleset, purchase, values)

    def credit_limit(self, limit: CreditLimit) -> bool:
        """Take an account's credit limit; returns whether there is a rate for it, without which it has no effect."""
        if not self._has_rate(limit.credit_limit, limit.currency):
            return False
        self._decider_of(limit.account_id).set_limit(limit)
        return True

    def repayment(self, repayment: Repayment) -> bool:
        """Take a repayment; returns whether there is a rate for it, without which it has no effect."""
        if not self._has_rate(repayment.amount, repayment.currency):
            return False
        self._decider_of(repayment.account_id).repay(self._ruleset.plan, repayment)
        return True

    def fraud(self, purchase: Purchase) -> None:
        """Learn that a purchase is fraud, as a label says that carries it; without a rate that has no effect."""
        plan = self._ruleset.plan
        if not self._has_rate(purchase.amount, purchase.currency):
            return
        amount_minor, transaction = amount_in(plan, purchase), transaction_hash(purchase.transaction_id)
        subject = Subject(purchase, amount_minor, transaction)
        for station in plan.fraud_stations:
            stop = entity_key(station.entity, purchase)
            if stop is not None:
                self._logbook.enter_fraud(plan, station, stop, subject, self._watermark.latest_ms)
        if plan.fraud_desk:
            self._decider_of(purchase.account_id).learn_fraud(plan, purchase, amount_minor, transaction)

    def _stamped(self, plan: RulesetPlan, purchase: Purchase, amount_minor: int) -> tuple[list[Stamp], bool]:
        stamps: list[Stamp] = []
        late = False
        for station in plan.stations:
            stop = entity_key(station.entity, purchase)
            if stop is not None:
                sighted = sight(self._logbook, self._watermark, plan, station, stop, purchase, amount_minor)
                stamps.append(sighted.stamp)
                late = late or sighted.late
        self._watermark.advance(purchase.event_time)
        return stamps, late

    def _has_rate(self, amount_minor: int, currency: str) -> bool:
        plan = self._ruleset.plan
        try:
            convert_minor(amount_minor, currency, plan.currency, plan.rates)
        except MoneyError:
            return False
        return True

    def _decider_of(self, account_id: str) -> Decider:
        return self._deciders[self._partition_of(account_id.encode()) if self._ruleset.plan.uses_anomaly else 0]

    def _settle(self) -> None:
        self._unsettled = 0
        self._logbook.settle()
        for decider in self._deciders.values():
            decider.settle()
