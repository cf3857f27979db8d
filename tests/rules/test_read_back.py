"""State that was read back goes on as if it had never been away, whether or not anybody has looked at it since."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.purchase import Purchase
from rules.accounts import Accounts
from rules.calendar import period_clock
from rules.clearing import Clears, clears_of_all
from rules.entity import entity_key, transaction_hash
from rules.logbook import Book, Logbook
from rules.plan import Aggregate, EntityPlan, Feature, Outcome, RulesetPlan, Trailing
from rules.velocity import Subject, values_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_792_792_800_000
ACCOUNT = ("account_id",)
CARD = ("account_id", "card_id")


def plan_of(entity: tuple[str, ...], distinct: tuple[str, ...], days: int) -> EntityPlan:
    window = Trailing(days * DAY_MS)
    features = [Feature("age", Aggregate.AGE, entity, None), Feature("since", Aggregate.SINCE, entity, None)]
    for outcome in (None, *Outcome):
        features.append(Feature(f"count {outcome}", Aggregate.COUNT, entity, window, None, outcome))
        features.append(Feature(f"sum {outcome}", Aggregate.SUM, entity, window, "amount", outcome))
        features.append(Feature(f"max {outcome}", Aggregate.MAX, entity, window, "amount", outcome))
        features += [
            Feature(f"{name} {outcome}", Aggregate.DISTINCT, entity, window, name, outcome) for name in distinct
        ]
    return EntityPlan(entity, tuple(features), distinct, days * DAY_MS)


def ruleset(*plans: EntityPlan, max_rows: int = 32) -> RulesetPlan:
    return RulesetPlan(plans, (), "UTC", "EUR", {}, HOUR_MS, max_rows, uses_anomaly=False, uses_credit=False)


# A ruleset, and those that may come after it: other fields, a longer look back, a shorter one.
RULESETS = [
    ruleset(plan_of(ACCOUNT, (), 2), plan_of(CARD, ("merchant_id",), 1)),
    ruleset(plan_of(ACCOUNT, ("device_id", "merchant_id"), 4)),
    ruleset(plan_of(ACCOUNT, ("merchant_id",), 1), plan_of(CARD, (), 2), max_rows=48),
]


@dataclass
class Life:
    """A logbook that takes purchases, labels and settlements, and its state as it was written."""

    logbook: Logbook = field(default_factory=lambda: Logbook(Accounts(), moves=True))
    state: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    now_ms: int = 0

    def buy(self, plans: RulesetPlan, purchase: Purchase, book: Book) -> list[tuple[int | None, Clears]]:
        """What the purchase finds: whether it is known, and the features with what clears them."""
        found: list[tuple[int | None, Clears]] = []
        clock = period_clock("UTC")
        for plan in plans.desk:
            key = entity_key(plan.entity, purchase)
            assert key is not None
            transaction = transaction_hash(purchase.transaction_id)
            holder = self.logbook.holders.get(key)
            books, known = self.logbook.visit(plans, plan, holder, transaction, purchase.event_time, self.now_ms)
            found.append((int(known), ()))
            subject = Subject(purchase, purchase.amount, transaction, known)
            values = values_of(plan)(books, subject, clock)
            found += zip(values, clears_of_all(plan, values, books, subject, clock), strict=True)
            if not known:
                self.logbook.enter(plans, plan, holder, books, subject, book)
        self.now_ms = max(self.now_ms, purchase.event_time)
        self.logbook.sweep(self.now_ms)
        return found

    def tell(self, plans: RulesetPlan, purchase: Purchase) -> None:
        subject = Subject(purchase, purchase.amount, transaction_hash(purchase.transaction_id))
        for plan in plans.desk:
            key = entity_key(plan.entity, purchase)
            assert key is not None
            self.logbook.enter_fraud(plans, plan, key, subject, self.now_ms)

    def move(self, plans: RulesetPlan, purchase: Purchase, book: Book, to: Book) -> None:
        transaction = transaction_hash(purchase.transaction_id)
        self.logbook.move(purchase.account_id, transaction, book, to, plans.max_rows, self.now_ms)

    def write(self) -> list[tuple[bytes, bytes | None]]:
        changes = self.logbook.changes()
        assert len({key for key, _ in changes}) == len(changes)
        for key, value in changes:
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        return changes

    def read_back(self) -> None:
        self.logbook = Logbook(Accounts(), moves=True)
        self.logbook.restore(self.state)


PAUSES_MS = [0, 0, 1, 60_000, HOUR_MS, HOUR_MS, 5 * HOUR_MS] * 6 + [DAY_MS, 4 * DAY_MS, 9 * DAY_MS]
SHORT_PAUSES_MS = [0, 1, 60_000, 600_000] * 60 + [2 * DAY_MS, 9 * DAY_MS]


def purchases(rng: random.Random, count: int, accounts: int, pauses_ms: Sequence[int] = PAUSES_MS) -> list[Purchase]:
    """Purchases of a few accounts: at once, late, too late, after days and after weeks of nothing."""
    bought: list[Purchase] = []
    now_ms = START_MS
    for number in range(count):
        now_ms += rng.choice(pauses_ms)
        late_ms = rng.choice([0, 0, 0, 0, 0, 1, 60_000, HOUR_MS, 30 * HOUR_MS])
        purchase = Purchase(
            transaction_id=f"t-{number}",
            account_id=f"a-{min(rng.randrange(accounts), rng.randrange(accounts))}",
            amount=rng.choice([1, 50, 700, 10**9, 10**15]),
            currency="EUR",
            event_time=now_ms - late_ms,
            merchant_id=f"m-{rng.randrange(5)}",
            mcc="5411",
            device_id=rng.choice([None, "d-1", "d-2"]),
            card_id=f"c-{rng.randrange(2)}",
        )
        bought.append(rng.choice(bought[-20:]) if bought and rng.random() < 0.05 else purchase)
    return bought


def live(
    rng: random.Random, count: int, accounts: int, every: list[Life], pauses_ms: Sequence[int] = PAUSES_MS
) -> None:
    """The same for every one, of which all but the first are read back now and then: they must not differ."""
    plans, place = RULESETS[0], dict[str, Book]()
    for number, purchase in enumerate(purchases(rng, count, accounts, pauses_ms)):
        if rng.random() < 0.01:
            plans = rng.choice(RULESETS)
        book = rng.choice([Book.APPROVED, Book.APPROVED, Book.APPROVED, Book.DECLINED])
        values = [life.buy(plans, purchase, book) for life in every]
        assert all(other == values[0] for other in values)
        place.setdefault(purchase.transaction_id, book)
        if rng.random() < 0.1:
            for life in every:
                life.tell(plans, purchase)
        if rng.random() < 0.2:
            book = place[purchase.transaction_id]
            to = Book.RELEASED if book is Book.APPROVED else Book.APPROVED
            place[purchase.transaction_id] = to
            for life in every:
                life.move(plans, purchase, book, to)
        if rng.random() < 0.3:
            written = [life.write() for life in every]
            assert all(other == written[0] for other in written), number
            for life in every[1:]:
                if rng.random() < 0.3:
                    life.read_back()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), accounts=st.sampled_from([1, 3, 40]))
def test_what_was_read_back_decides_and_writes_the_same_bytes(seed: int, accounts: int) -> None:
    live(random.Random(seed), 250, accounts, [Life(), Life()])


@pytest.mark.parametrize("seed", range(3))
def test_logs_that_merge_read_back_write_the_same_bytes(seed: int) -> None:
    lives = [Life(), Life(), Life()]
    live(random.Random(seed), 1_000, 2, lives, SHORT_PAUSES_MS)
    assert any(key[:1] == b"M" for key in lives[0].state), "nothing was merged"


def test_what_was_read_back_and_never_looked_at_is_forgotten_as_if_it_had_been() -> None:
    lives = [Life(), Life()]
    bought = purchases(random.Random(5), 60, 9)
    for life in lives:
        for purchase in bought:
            life.buy(RULESETS[0], purchase, Book.APPROVED)
        life.write()
    lives[1].read_back()
    later = bought[-1].model_copy(update={"transaction_id": "later", "event_time": bought[-1].event_time + 60 * DAY_MS})
    written = list[list[tuple[bytes, bytes | None]]]()
    for life in lives:
        life.buy(RULESETS[0], later, Book.APPROVED)
        written.append(life.write())
    assert written[0] == written[1]
    assert len(lives[0].state) == 2, "one chunk of the account, one of its card"
