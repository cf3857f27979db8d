"""Features and clearing times against lists, with late, simultaneous and repeated purchases."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.purchase import Purchase
from rules.calendar import period_clock
from rules.clearing import clears_of_all
from rules.entity import transaction_hash
from rules.entity_books import Book, EntityBooks
from rules.logbook import Logbook
from rules.plan import (
    Aggregate,
    Calendar,
    Clearing,
    EntityPlan,
    Feature,
    Outcome,
    Period,
    RulesetPlan,
    Trailing,
    Window,
)
from rules.velocity import Subject, values_of
from tests.oracle import APPROVED, DECLINED, EntityHistory, Seen, clears_at, value_of

ZONE = "Europe/Berlin"
# 24 October 2026: clocks in Berlin go back in the night that follows.
START_MS = 1_792_792_800_000
HOUR_MS = 3_600_000
HORIZON_MS = 32 * 24 * HOUR_MS
ENTITY = ("account_id",)
KEY = "account_id:a-1"

WINDOWS: list[Window] = [
    Trailing(1_000),
    Trailing(HOUR_MS),
    Trailing(24 * HOUR_MS),
    *(Calendar(period) for period in Period),
]


def features() -> tuple[Feature, ...]:
    made: list[Feature] = []
    for outcome in (None, *Outcome):
        made += [
            Feature(f"{aggregate} {outcome}", aggregate, ENTITY, None, None, outcome)
            for aggregate in (Aggregate.SINCE, Aggregate.AGE)
            if outcome is not Outcome.FRAUD
        ]
        for window in WINDOWS:
            for aggregate in (Aggregate.COUNT, Aggregate.SUM, Aggregate.AVG, Aggregate.MIN, Aggregate.MAX):
                clearings = {
                    Aggregate.COUNT: (Clearing(">", 2), Clearing(">=", 2), Clearing(">", 0)),
                    Aggregate.SUM: (Clearing(">", 30), Clearing(">=", 30)),
                }.get(aggregate, ())
                field = None if aggregate is Aggregate.COUNT else "amount"
                name = f"{aggregate} {window} {outcome}"
                made.append(Feature(name, aggregate, ENTITY, window, field, outcome, clearings))
            distinct = (Clearing(">", 1), Clearing(">=", 3))
            name = f"distinct {window} {outcome}"
            made.append(Feature(name, Aggregate.DISTINCT, ENTITY, window, "merchant_id", outcome, distinct))
            name = f"distinct device {window} {outcome}"
            made.append(Feature(name, Aggregate.DISTINCT, ENTITY, window, "device_id", outcome))
    return tuple(made)


PLAN = EntityPlan(ENTITY, features(), ("merchant_id", "device_id"), HORIZON_MS)
RULESET = RulesetPlan((PLAN,), (), ZONE, "EUR", {}, 24 * HOUR_MS, 512, uses_anomaly=False, uses_credit=False)


def purchase(number: int, time_ms: int, amount: int, merchant: str = "m", device: str | None = None) -> Purchase:
    return Purchase(
        transaction_id=f"t-{number}",
        account_id="a-1",
        amount=amount,
        currency="EUR",
        event_time=time_ms,
        merchant_id=merchant,
        mcc="5411",
        device_id=device,
    )


# Offsets are few, so that times coincide and lie on the edges of windows.
OFFSETS = [
    0,
    1,
    999,
    1_000,
    1_001,
    HOUR_MS - 1,
    HOUR_MS,
    HOUR_MS + 1,
    5 * HOUR_MS,
    23 * HOUR_MS,
    24 * HOUR_MS,
    25 * HOUR_MS,
    26 * HOUR_MS,
    30 * HOUR_MS,
]
PURCHASES = st.lists(
    st.tuples(
        st.sampled_from(OFFSETS),
        st.integers(1, 30),
        st.sampled_from(["m", "n", "o"]),
        st.sampled_from([None, "d", "e"]),
        st.booleans(),
        st.integers(0, 20),
        st.one_of(st.none(), st.integers(0, 30)),
    ),
    max_size=25,
)


def zone_of() -> ZoneInfo:
    return ZoneInfo(ZONE)


@settings(max_examples=60, deadline=None)
@given(drawn=PURCHASES)
def test_every_feature_equals_a_loop_over_all_purchases(
    drawn: list[tuple[int, int, str, str | None, bool, int, int | None]],
) -> None:
    book, history = Logbook(), EntityHistory()
    every = [
        purchase(number, START_MS + offset, amount, merchant, device)
        for number, (offset, amount, merchant, device, *_) in enumerate(drawn)
    ]
    for number, (*_, declined, repeat, label) in enumerate(drawn):
        # Some transactions come twice, as the same purchase.
        past = history.seen[repeat] if repeat < len(history.seen) and repeat % 5 == 0 else None
        bought = past.purchase if past else every[number]
        transaction = transaction_hash(bought.transaction_id)
        holder = book.holders.get(KEY)
        books, known = book.visit(RULESET, PLAN, holder, transaction, bought.event_time, START_MS)
        assert known == history.has(bought.transaction_id)
        subject = Subject(bought, bought.amount, transaction, known)
        clock = period_clock(ZONE)
        values = values_of(PLAN)(books, subject, clock)
        all_clears = clears_of_all(PLAN, values, books, subject, clock)
        for feature, value, clears_each in zip(PLAN.features, values, all_clears, strict=True):
            if known and feature.outcome in (Outcome.APPROVED, Outcome.DECLINED):
                continue  # What a repeat would count for by outcome is not asked: its first answer is given.
            expected = value_of(feature, history, bought, bought.amount, zone_of(), HORIZON_MS)
            assert value == expected, feature.name
            for place, clearing in enumerate(feature.clearings):
                clears = clears_each[place] if clears_each else None
                assert expected is not None
                holds = expected > clearing.threshold if clearing.op == ">" else expected >= clearing.threshold
                wanted = clears_at(feature, clearing, history, bought, bought.amount, zone_of()) if holds else None
                assert clears == wanted, (feature.name, clearing)
        if not known:
            book.enter(RULESET, PLAN, holder, books, subject, Book.DECLINED if declined else Book.APPROVED)
            history.seen.append(Seen(bought, bought.amount, DECLINED if declined else APPROVED))
        if label is None:
            continue
        # Of this purchase, of an earlier one, or of one that is still to come; some once more.
        told = every[label % len(every)]
        book.enter_fraud(
            RULESET, PLAN, KEY, Subject(told, told.amount, transaction_hash(told.transaction_id)), START_MS
        )
        history.tell(Seen(told, told.amount))


@pytest.mark.parametrize(("length_ms", "expected"), [(1_000, 1), (1_001, 2)])
def test_a_window_does_not_hold_its_first_instant(length_ms: int, expected: int) -> None:
    feature = Feature("count", Aggregate.COUNT, ENTITY, Trailing(length_ms))
    plan = EntityPlan(ENTITY, (feature,), (), HORIZON_MS)
    book = Logbook()
    first, second = purchase(1, START_MS, 5), purchase(2, START_MS + 1_000, 5)
    holder = book.holders.get(KEY)
    book.enter(RULESET, plan, holder, EntityBooks(), Subject(first, 5, transaction_hash("t-1")))
    books, _ = book.visit(RULESET, plan, holder, transaction_hash("t-2"), second.event_time, START_MS)
    (value,) = values_of(plan)(books, Subject(second, 5, transaction_hash("t-2")), period_clock(ZONE))
    assert value == expected
