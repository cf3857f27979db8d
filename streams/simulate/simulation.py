"""From a config to all events of a simulation."""

from __future__ import annotations

from operator import attrgetter
from random import Random
from typing import Any, Final

from streams.simulate.accounts import populate
from streams.simulate.config import SimulationConfig
from streams.simulate.credit import credit_limits, repayments
from streams.simulate.draft import Draft
from streams.simulate.events import SimulatedEvent, Simulation
from streams.simulate.fraud import Underworld, fraudulent_drafts
from streams.simulate.genuine import Shopping
from streams.simulate.merchants import Market

# A fraud is noticed from minutes to a few hours later, but within the simulation.
_NOTICED_AFTER_MS: Final = (10 * 60_000, 180 * 60_000)

_at_ms = attrgetter("at_ms")


def simulate(config: SimulationConfig) -> Simulation:
    """All events of the simulated world, in event-time order; a pure function of the config."""
    rng = Random(config.seed)
    market = Market(rng, config.accounts)
    population = populate(rng, config.accounts, market)
    # Fraud comes first: it decides which shoppers stop shopping, and when.
    underworld = Underworld(rng, config, population, market)
    fraudulent = fraudulent_drafts(underworld, config.fraudulent_purchases)
    shopping = Shopping(config, population.shoppers, market)
    genuine = shopping.drafts(rng, config.purchases - len(fraudulent))
    genuine.sort(key=_at_ms)
    purchases, labels = _purchases_and_labels(rng, sorted(genuine + fraudulent, key=_at_ms), config)
    limits = credit_limits(population.accounts, config.start_ms)
    paid_back = repayments(rng, genuine, config.start_ms)
    # The sort is stable: at the same millisecond limits come first and labels last.
    return Simulation(sorted(limits + paid_back + purchases + labels, key=_at_ms))


def _purchases_and_labels(
    rng: Random, drafts: list[Draft], config: SimulationConfig
) -> tuple[list[SimulatedEvent], list[SimulatedEvent]]:
    purchases: list[SimulatedEvent] = []
    labels: list[SimulatedEvent] = []
    for number, draft in enumerate(drafts, start=1):
        transaction_id = f"t-{number:08d}"
        key, purchase = draft.account.account_id, draft.purchase(transaction_id)
        purchases.append(SimulatedEvent("purchases", key, purchase, draft.at_ms))
        if draft.fraud is not None:
            noticed_ms = min(draft.at_ms + rng.randint(*_NOTICED_AFTER_MS), config.end_ms - 1)
            labels.append(_label(purchase, noticed_ms, whole=config.whole_labels))
    return purchases, labels


def _label(purchase: dict[str, Any], at_ms: int, *, whole: bool) -> SimulatedEvent:
    """The verdict on a purchase, with the purchase itself where it is to be `whole`."""
    account_id: str = purchase["account_id"]
    value = {
        "transaction_id": purchase["transaction_id"],
        "account_id": account_id,
        "verdict": "fraud",
        "event_time": at_ms,
    }
    return SimulatedEvent("labels", account_id, {**value, "purchase": purchase} if whole else value, at_ms)
