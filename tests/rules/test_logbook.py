"""What an entity's logs keep, and what does not depend on how they are kept."""

from __future__ import annotations

import random

import pytest

from rules.calendar import period_clock
from rules.entity import transaction_hash
from rules.logbook import Book, Logbook
from rules.plan import Aggregate, EntityPlan, Feature, RulesetPlan, Trailing
from rules.velocity import Subject, measure
from tests.rules.test_velocity import ENTITY, KEY, START_MS, purchase

DAY_MS = 86_400_000
AGE = Feature("age", Aggregate.AGE, ENTITY, None)
COUNT = Feature("count", Aggregate.COUNT, ENTITY, Trailing(DAY_MS))
MAX = Feature("max", Aggregate.MAX, ENTITY, Trailing(DAY_MS), "amount")


def ruleset(plan: EntityPlan) -> RulesetPlan:
    return RulesetPlan((plan,), (), "UTC", "EUR", {}, DAY_MS, 32, uses_anomaly=False, uses_credit=False)


def visit(
    logbook: Logbook, plan: EntityPlan, number: int, time_ms: int, amount: int, book: Book = Book.APPROVED
) -> list[int | None]:
    """Measure a purchase of the one entity, and enter it."""
    subject = Subject(purchase(number, time_ms, amount), amount, transaction_hash(f"t-{number}"))
    books = logbook.find(KEY, time_ms)
    logs = logbook.logs(ruleset(plan), plan, KEY, books, time_ms)
    values = [value.value for value in measure(plan, logs, subject, period_clock("UTC"))]
    logbook.enter(ruleset(plan), plan, KEY, subject, book)
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
