"""The row path: one purchase after the other through the very logs and the decider that workers run."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from models.money import MoneyError
from models.purchase import Purchase
from rules.calendar import period_clock
from rules.columns.table import NEVER_MS
from rules.decider import Decider
from rules.entity import entity_key, transaction_hash
from rules.language.compile import CompiledRuleset
from rules.logbook import Logbook
from rules.route import Stamp, stamp_of
from rules.step import amount_in
from rules.velocity import Subject, measure
from rules.watermark import Watermark


class RowResult(NamedTuple):
    """What one purchase came to: its features in the plan's order, the rules that matched, the action."""

    amount_minor: int
    values: list[int | None]
    matched: set[str]
    action: str


class Rows:
    """All stations and the desk in one place, fed in canonical order."""

    def __init__(self, ruleset: CompiledRuleset) -> None:
        self._ruleset = ruleset
        self._stations = Logbook()
        self._watermark = Watermark()
        self._decider = Decider()

    def decide(self, purchase: Purchase) -> RowResult | None:
        """Decide on a purchase; None where the ruleset has no rate for its currency."""
        plan = self._ruleset.plan
        try:
            amount_minor = amount_in(plan, purchase)
        except MoneyError:
            return None
        transaction = transaction_hash(purchase.transaction_id)
        subject = Subject(purchase, amount_minor, transaction)
        stamps = self._stamps(subject)
        decision = self._decider.decide(self._ruleset, purchase, amount_minor, transaction, stamps, late=False)
        matched = {reason.rule for reason in (*decision.reasons, *decision.shadow)}
        values = [decision.features[name] for name in plan.feature_names]
        return RowResult(amount_minor, values, matched, decision.action)

    def _stamps(self, subject: Subject) -> list[Stamp]:
        plan, purchase = self._ruleset.plan, subject.purchase
        stamps: list[Stamp] = []
        for entity in plan.stations:
            key = entity_key(entity.entity, purchase)
            if key is None:
                continue
            books = self._stations.find(key, self._watermark.latest_ms)
            logs = self._stations.logs(plan, entity, key, books, purchase.event_time)
            stamps.append(stamp_of(entity.entity, measure(entity, logs, subject, period_clock(plan.time_zone))))
            self._stations.enter(plan, entity, key, subject)
        self._watermark.advance(purchase.event_time)
        self._stations.sweep(self._watermark.latest_ms)
        return stamps

    def label(self, purchase: Purchase) -> None:
        """Learn that a purchase is fraud."""
        plan = self._ruleset.plan
        try:
            amount_minor = amount_in(plan, purchase)
        except MoneyError:
            return
        transaction = transaction_hash(purchase.transaction_id)
        for entity in plan.fraud_stations:
            key = entity_key(entity.entity, purchase)
            if key is not None:
                subject = Subject(purchase, amount_minor, transaction)
                self._stations.enter_fraud(plan, entity, key, subject, self._watermark.latest_ms)
        self._decider.learn_fraud(plan, purchase, amount_minor, transaction)


def by_rows(
    ruleset: CompiledRuleset, purchases: Sequence[Purchase], fraud_known_ms: Sequence[int] | None = None
) -> list[RowResult | None]:
    """What each purchase comes to.

    A label that becomes known in the same moment comes before the purchase, but none before the one that it is on.
    """
    rows, results, known = Rows(ruleset), list[RowResult | None](), list[tuple[int, int]]()
    for number, purchase in enumerate(purchases):
        while known and known[0][0] <= purchase.event_time:
            rows.label(purchases[heapq.heappop(known)[1]])
        results.append(rows.decide(purchase))
        if fraud_known_ms and fraud_known_ms[number] != NEVER_MS:
            heapq.heappush(known, (fraud_known_ms[number], number))
    return results
