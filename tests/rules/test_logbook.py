"""What an entity's logs keep, and what does not depend on how they are kept."""

from __future__ import annotations

import random

import pytest

from rules.accounts import Accounts
from rules.calendar import period_clock
from rules.entity import transaction_hash
from rules.logbook import Book, Logbook
from rules.plan import Aggregate, EntityPlan, Feature, Outcome, RulesetPlan, Trailing
from rules.velocity import Subject, values_of
from tests.rules.test_velocity import ENTITY, KEY, START_MS, purchase

DAY_MS = 86_400_000
AGE = Feature("age", Aggregate.AGE, ENTITY, None)
COUNT = Feature("count", Aggregate.COUNT, ENTITY, Trailing(DAY_MS))
MAX = Feature("max", Aggregate.MAX, ENTITY, Trailing(DAY_MS), "amount")


def ruleset(plan: EntityPlan, max_rows: int = 32) -> RulesetPlan:
    return RulesetPlan((plan,), (), "UTC", "EUR", {}, DAY_MS, max_rows, uses_anomaly=False, uses_credit=False)


def visit(
    logbook: Logbook,
    plan: EntityPlan,
    number: int,
    time_ms: int,
    amount: int,
    book: Book = Book.APPROVED,
    max_rows: int = 32,
) -> list[int | None]:
    """Measure a purchase of the one entity, and enter it."""
    subject = Subject(purchase(number, time_ms, amount), amount, transaction_hash(f"t-{number}"))
    holder = logbook.holders.get(KEY)
    books, _ = logbook.visit(ruleset(plan, max_rows), plan, holder, subject.transaction, time_ms, time_ms)
    values = values_of(plan)(books, subject, period_clock("UTC"))
    logbook.enter(ruleset(plan, max_rows), plan, holder, books, subject, book)
    return values


def test_an_entity_is_as_old_as_its_first_purchase_however_purchases_between_were_decided() -> None:
    plan, logbook = EntityPlan(ENTITY, (AGE,), (), 30 * DAY_MS), Logbook()
    bought = [(0, Book.APPROVED), (20, Book.DECLINED), (40, Book.APPROVED), (60, Book.APPROVED), (80, Book.DECLINED)]
    ages = [visit(logbook, plan, day, START_MS + day * DAY_MS, 5, book) for day, book in bought]
    assert ages == [[day * DAY_MS] for day, _ in bought]
    # Nothing is in reach of either log: the entity is new again.
    assert visit(logbook, plan, 111, START_MS + 111 * DAY_MS, 5) == [0]


@pytest.mark.parametrize("old", [1, 7, 15, 16, 17, 31])
def test_what_a_log_merges_to_depends_on_the_purchases_in_reach_alone(old: int) -> None:
    plan, rng = EntityPlan(ENTITY, (COUNT, MAX), (), DAY_MS), random.Random(5)
    whole, part = Logbook(), Logbook()
    # Out of reach when the log is full, and in one chunk with purchases that are in reach.
    for number in range(old):
        visit(whole, plan, number, START_MS, 1_000)
    times, now_ms = list[int](), START_MS + 2 * DAY_MS - 1
    merged = False
    for number in range(old, old + 200):
        times.append(now_ms)
        amount = rng.randrange(1, 100)
        values = visit(whole, plan, number, now_ms, amount)
        assert visit(part, plan, number, now_ms, amount) == values
        merged = merged or values[0] != sum(now_ms - DAY_MS < time_ms for time_ms in times)
        now_ms += rng.choice([0, 1, 3_600_000, 7_200_000])
    assert merged, "merging made no difference"


def test_entities_that_came_one_after_the_other_are_forgotten_so_and_not_many_at_once() -> None:
    plan, logbook, came = EntityPlan(ENTITY, (COUNT,), (), DAY_MS), Logbook(), 300
    # Kept for a day, for the lateness, and for a day of grace.
    forgotten = list[int]()
    for number in range(2 * came):
        time_ms = START_MS + number % came * 1_000 + number // came * 3 * DAY_MS
        entity = logbook.holders.get(f"{KEY}-{number}")
        subject = Subject(purchase(number, time_ms, 5), 5, transaction_hash(f"t-{number}"))
        books, _ = logbook.visit(ruleset(plan), plan, entity, subject.transaction, time_ms, time_ms)
        logbook.enter(ruleset(plan), plan, entity, books, subject)
        logbook.sweep(time_ms)
        forgotten.append(sum(raw is None for _, raw in logbook.changes()))
    assert forgotten == [0] * (came + 1) + [1] * (came - 1)


class Moving:
    """A logbook of one account's entity with a list beside it: what moves in one moves in the other."""

    def __init__(self, plan: EntityPlan, max_rows: int = 4_096) -> None:
        self.max_rows = max_rows
        self.plan, self.logbook = plan, Logbook(Accounts(), moves=True)
        self.state: dict[bytes, bytes] = {}
        self.now_ms = 0

    def buy(self, number: int, time_ms: int, book: Book) -> dict[str, int | None]:
        """Measure a purchase, and enter it."""
        values = visit(self.logbook, self.plan, number, time_ms, 10 + number, book, self.max_rows)
        self.now_ms = max(self.now_ms, time_ms)
        return dict(zip([feature.name for feature in self.plan.features], values, strict=True))

    def move(self, number: int, book: Book, to: Book) -> None:
        transaction = transaction_hash(f"t-{number}")
        self.logbook.move(ACCOUNT, transaction, book, to, self.max_rows, self.now_ms)

    def read_back(self) -> None:
        for key, value in self.logbook.changes():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.logbook = Logbook(Accounts(), moves=True)
        self.logbook.restore(self.state)


ACCOUNT = "a-1"
DAYS = Trailing(DAY_MS)
COUNTS = EntityPlan(
    ENTITY,
    (
        Feature("all", Aggregate.COUNT, ENTITY, DAYS),
        Feature("approved", Aggregate.COUNT, ENTITY, DAYS, None, Outcome.APPROVED),
        Feature("declined", Aggregate.COUNT, ENTITY, DAYS, None, Outcome.DECLINED),
        Feature("age", Aggregate.AGE, ENTITY, None),
        Feature("since", Aggregate.SINCE, ENTITY, None),
        Feature("total", Aggregate.SUM, ENTITY, DAYS, "amount"),
        Feature("largest", Aggregate.MAX, ENTITY, DAYS, "amount", Outcome.APPROVED),
    ),
    (),
    30 * DAY_MS,
)


def test_what_is_released_counts_without_an_outcome_only() -> None:
    moving = Moving(COUNTS)
    moving.buy(1, START_MS, Book.APPROVED)
    moving.buy(2, START_MS + 5, Book.APPROVED)
    moving.buy(3, START_MS + 9, Book.DECLINED)
    for book, to, number in [(Book.APPROVED, Book.RELEASED, 2), (Book.DECLINED, Book.APPROVED, 3)]:
        moving.move(number, book, to)
        moving.read_back()
    values = moving.buy(4, START_MS + 20, Book.APPROVED)
    assert (values["all"], values["approved"], values["declined"], values["largest"]) == (4, 3, 0, 14)
    assert (values["age"], values["since"], values["total"]) == (20, 11, 11 + 12 + 13 + 14)


def test_an_account_is_as_old_as_its_first_purchase_though_that_is_forgotten_and_all_others_are_released() -> None:
    moving = Moving(COUNTS)
    for day in range(60):
        moving.buy(day, START_MS + day * DAY_MS, Book.APPROVED)
    for day in range(60):
        moving.move(day, Book.APPROVED, Book.RELEASED)
        if day % 8 == 0:
            moving.read_back()
    for day in (60, 61):
        assert moving.buy(day, START_MS + day * DAY_MS, Book.APPROVED)["age"] == day * DAY_MS
        moving.read_back()


def test_a_row_that_was_merged_away_stays_where_it_counts() -> None:
    moving = Moving(EntityPlan(ENTITY, COUNTS.features[:3], (), DAY_MS), max_rows=32)
    for number in range(200):
        moving.buy(number, START_MS + number, Book.APPROVED)
    for number in range(200):
        moving.move(number, Book.APPROVED, Book.RELEASED)
    values = moving.buy(200, START_MS + 200, Book.APPROVED)
    assert values["all"] == 201
    assert 100 < (values["approved"] or 0) < 201


@pytest.mark.parametrize("seed", range(6))
def test_moving_changes_no_more_than_the_outcome_whatever_is_read_back(seed: int) -> None:
    rng, moving, calm = random.Random(seed), Moving(COUNTS), Moving(COUNTS)
    books: dict[int, tuple[Book, int]] = {}
    time_ms = START_MS
    for number in range(250):
        time_ms += rng.choice([0, 1, 1_000, 3_600_000, 7_200_000]) if number else 0
        book = rng.choice([Book.APPROVED, Book.APPROVED, Book.DECLINED])
        inside = [each for each, at_ms in books.values() if time_ms - DAY_MS < at_ms <= time_ms]
        wanted = {"approved": inside.count(Book.APPROVED) + 1, "declined": inside.count(Book.DECLINED)}
        for each in (moving, calm):
            values = each.buy(number, time_ms, book)
            assert values["all"] == len(inside) + 1
            assert {name: values[name] for name in wanted} == wanted
            assert values["age"] == time_ms - START_MS
        books[number] = book, time_ms
        other = rng.choice([n for n in books if n >= number - 6])
        place, at_ms = books[other]
        to = Book.RELEASED if place is Book.APPROVED else Book.APPROVED
        if place is not Book.RELEASED:
            books[other] = to, at_ms
            for each in (moving, calm):
                each.move(other, place, to)
        if rng.random() < 0.3:
            calm.logbook.settle()
            moving.read_back()
