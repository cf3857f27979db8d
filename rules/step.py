"""What station and desk have in common: a record that arrives with its route, and where it goes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from models.label import InvalidLabel, decode_label
from models.money import MoneyError, convert_minor
from models.purchase import InvalidPurchase, read_purchase_fields
from models.purchase_fields import PurchaseFields
from rules.dead_letter import FOREIGN, dead_letter
from rules.entity import entity_key
from rules.fold import Headers, Output, SourceRecord
from rules.language.compile import CompiledRuleset
from rules.plan import EntityPlan, RulesetPlan
from rules.route import InvalidRouteError, Route, read_route, with_route
from rules.rulesets import Rulesets

SIGHTINGS: Final = "sightings"
ASSESSMENTS: Final = "assessments"


class Arrival(NamedTuple):
    """A record with its route, read from an internal topic."""

    record: SourceRecord
    route: Route
    sender_headers: Headers
    ruleset: CompiledRuleset


def read_arrival(record: SourceRecord, topic: str, rulesets: Rulesets) -> Arrival | Output:
    """Read a record's route, or say in a dead letter why not.

    Raises StateNotReadyError while the ruleset that the route names has not arrived.
    """
    try:
        route, sender_headers = read_route(record)
    except InvalidRouteError as error:
        return dead_letter(record, topic, FOREIGN, f"{topic} is Stopbank's own: {error}")
    ruleset = rulesets.get(route.ruleset)
    sizes = ruleset.plan.stamp_sizes
    for entity, values in route.stamps:
        if sizes.get(entity) != len(values):
            detail = f"{topic} is Stopbank's own: the ruleset asks for another stamp of {entity}"
            return dead_letter(record, topic, FOREIGN, detail)
    return Arrival(record, route, sender_headers, ruleset)


def read_purchase(arrival: Arrival, topic: str) -> tuple[PurchaseFields, int] | Output:
    """The purchase and its amount in the ruleset's currency, which the router has seen to be readable."""
    plan = arrival.ruleset.plan
    try:
        purchase = read_purchase_fields(arrival.record.value or b"")
        return purchase, amount_in(plan, purchase)
    except (InvalidPurchase, MoneyError) as error:
        return dead_letter(arrival.record, topic, FOREIGN, str(error))


def read_label(arrival: Arrival, topic: str) -> tuple[PurchaseFields, int] | Output:
    """The purchase that a label says to be fraud, and its amount, which the router has seen to be readable."""
    plan = arrival.ruleset.plan
    try:
        purchase = decode_label(arrival.record.value or b"").purchase
        if purchase is not None:
            return purchase, amount_in(plan, purchase)
        detail = "a label without its purchase has no way"
    except (InvalidLabel, MoneyError) as error:
        detail = str(error)
    return dead_letter(arrival.record, topic, FOREIGN, detail)


def amount_in(plan: RulesetPlan, purchase: PurchaseFields) -> int:
    """A purchase's amount in minor units of the ruleset's currency. Raises MoneyError without a rate."""
    amount_minor, currency = purchase.amount, purchase.currency
    if currency == plan.currency:
        return amount_minor
    return convert_minor(amount_minor, currency, plan.currency, plan.rates)


def itinerary(plan: RulesetPlan, purchase: PurchaseFields) -> tuple[str, ...]:
    """The keys of the entities to visit: those that the ruleset counts by and this purchase has."""
    return _keys_of(plan.stations, purchase)


def label_itinerary(plan: RulesetPlan, purchase: PurchaseFields) -> tuple[str, ...]:
    """The keys of the entities that a label of this purchase visits: those whose fraud the ruleset counts."""
    return _keys_of(plan.fraud_stations, purchase)


def _keys_of(plans: Sequence[EntityPlan], purchase: PurchaseFields) -> tuple[str, ...]:
    keys: list[str] = []
    for plan in plans:
        key = entity_key(plan.entity, purchase)
        if key is not None:
            keys.append(key)
    return tuple(keys)


def label_onward(
    plan: RulesetPlan, account_id: str, value: bytes | None, headers: Headers, route: Route
) -> Sequence[Output]:
    """A label on its way to the next stop, or to the desk where fraud is counted there; else it has arrived."""
    return [onward(account_id, value, headers, route)] if route.stops or plan.fraud_desk else []


def onward(account_id: str, value: bytes | None, headers: Headers, route: Route) -> Output:
    """The record on its way to the next stop, or to the desk after the last."""
    topic, key = (SIGHTINGS, route.stops[0]) if route.stops else (ASSESSMENTS, account_id)
    return Output(topic, key.encode(), value, with_route(headers, route))
