"""A sighting: an entity is measured for a purchase, which is entered into its log then."""

from __future__ import annotations

from typing import NamedTuple

from models.purchase_fields import PurchaseFields
from rules.calendar import period_clock
from rules.clearing import clears_of_all
from rules.entity import transaction_hash
from rules.logbook import Logbook
from rules.plan import EntityPlan, RulesetPlan
from rules.route import Stamp, stamp_of
from rules.velocity import subject_of, values_of
from rules.watermark import Watermark


class Sighted(NamedTuple):
    """What an entity's features are for a purchase, and whether it was later than the allowed lateness there."""

    stamp: Stamp
    late: bool


def sight(
    logbook: Logbook,
    watermark: Watermark,
    ruleset: RulesetPlan,
    plan: EntityPlan,
    stop: str,
    purchase: PurchaseFields,
    amount_minor: int,
) -> Sighted:
    """Measure the entity `stop` for a purchase, and enter the purchase unless it is there already."""
    transaction = transaction_hash(purchase.transaction_id)
    event_time_ms = purchase.event_time
    entity = logbook.holders.get(stop)
    books, known = logbook.visit(ruleset, plan, entity, transaction, event_time_ms, watermark.latest_ms)
    last_ms = books.last_ms
    subject = subject_of((purchase, amount_minor, transaction, known))
    clock = period_clock(ruleset.time_zone)
    values = values_of(plan)(books, subject, clock)
    stamp = stamp_of(plan.name, values, clears_of_all(plan, values, books, subject, clock))
    if not known:
        logbook.enter(ruleset, plan, entity, books, subject)
    watermark.advance(event_time_ms)
    logbook.sweep(watermark.latest_ms)
    return Sighted(stamp, event_time_ms < last_ms - ruleset.allowed_lateness_ms)
