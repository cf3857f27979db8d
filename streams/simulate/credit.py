"""Credit limits, and the repayments that keep genuine shoppers under theirs."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

from streams.simulate.accounts import Account
from streams.simulate.draft import Draft
from streams.simulate.events import SimulatedEvent
from streams.simulate.merchants import HOME_CURRENCY

# A shopper whose balance would pass this share of the limit pays most of it back first.
_REPAY_FROM_SHARE: Final = 0.6


def credit_limits(accounts: Iterable[Account], start_ms: int) -> list[SimulatedEvent]:
    """One limit for each account, known from the start."""
    return [_credit_limit(account, start_ms) for account in accounts]


def repayments(rng: Random, genuine: Iterable[Draft], start_ms: int) -> list[SimulatedEvent]:
    """What shoppers pay back between the purchases `genuine`, given in event-time order."""
    balances: dict[str, int] = {}
    last_ms: dict[str, int] = {}
    events: list[SimulatedEvent] = []
    for draft in genuine:
        account, key = draft.account, draft.account.account_id
        booked = draft.merchant.booked(draft.home_minor)
        balance, since_ms = balances.get(key, 0), last_ms.get(key, start_ms)
        too_much = balance + booked > account.credit_limit_minor * _REPAY_FROM_SHARE
        # Only after the last purchase: within the same millisecond a repayment would come before it.
        if too_much and balance > 0 and draft.at_ms > since_ms:
            paid = max(1, round(balance * rng.uniform(0.7, 1.0)))
            events.append(_repayment(len(events) + 1, account, paid, (since_ms + draft.at_ms + 1) // 2))
            balance -= paid
        balances[key] = balance + booked
        last_ms[key] = draft.at_ms
    return events


def _credit_limit(account: Account, at_ms: int) -> SimulatedEvent:
    value = {
        "account_id": account.account_id,
        "credit_limit": account.credit_limit_minor,
        "currency": HOME_CURRENCY,
        "event_time": at_ms,
    }
    return SimulatedEvent("accounts", account.account_id, value, at_ms)


def _repayment(number: int, account: Account, amount_minor: int, at_ms: int) -> SimulatedEvent:
    value = {
        "repayment_id": f"r-{number:07d}",
        "account_id": account.account_id,
        "amount": amount_minor,
        "currency": HOME_CURRENCY,
        "event_time": at_ms,
    }
    return SimulatedEvent("repayments", account.account_id, value, at_ms)
