"""Customers of benchmarks: whatever their number, each is as busy as another."""

from __future__ import annotations

from collections import Counter

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.customers import DAY_MS, Customers
from bench.known_accounts import DeskLine
from rules.fold import Output

START_MS = 1_772_431_200_000
RULES = "account-only.yaml"


@given(st.integers(1, 40), st.integers(1, 5), st.lists(st.integers(0, 120), min_size=3, max_size=3))
def test_purchases_are_the_same_however_they_are_asked_for(accounts: int, rows: int, cuts: list[int]) -> None:
    customers = Customers(accounts, rows, START_MS)
    first, middle, end = sorted(cuts)
    whole = list(customers.purchases(first, end))
    assert [*customers.purchases(first, middle), *customers.purchases(middle, end)] == whole
    assert len(whole) == end - first
    assert len({orjson.loads(bought.value)["transaction_id"] for bought in whole}) == len(whole)


@pytest.mark.parametrize("accounts", [3, 50, 400])
def test_each_account_buys_equally_often_on_the_first_day(accounts: int) -> None:
    customers = Customers(accounts, 8, START_MS)
    bought = list(customers.purchases(0, customers.history))
    assert set(Counter(each.account for each in bought).values()) == {8}
    assert [each.at_ms for each in bought] == sorted(each.at_ms for each in bought)
    assert bought[-1].at_ms < START_MS + DAY_MS <= START_MS + int(customers.history * customers.interval_ms)


def test_chosen_accounts_buy_what_they_buy_among_all() -> None:
    customers = Customers(30, 2, START_MS)
    chosen = np.arange(30) % 3 == 0
    some = list(customers.purchases(7, 50, chosen))
    assert some == [each for each in customers.purchases(7, 50) if each.account % 3 == 0]


def test_customers_end_when_they_are_told_to() -> None:
    customers = Customers.until(10, 4, 25, START_MS)
    *_, last = customers.purchases(0, customers.history + 25)
    assert START_MS - 2 * customers.interval_ms < last.at_ms <= START_MS


@pytest.mark.parametrize("rows", [1, 32])
def test_all_purchases_are_approved(rows: int) -> None:
    decisions = [orjson.loads(output.value or b"") for output in _decided(Customers(20, rows, START_MS))]
    assert len(decisions) == 20 * rows * 3
    assert {decision["action"] for decision in decisions} == {"approve"}


def _decided(customers: Customers) -> list[Output]:
    line = DeskLine(RULES)
    outputs = line.decide(list(customers.purchases(0, customers.history * 3)))
    return [output for output in outputs if output.topic == "decisions"]


def test_a_desk_knows_the_accounts_again_by_what_was_written() -> None:
    customers = Customers(20, 2, START_MS)
    bought = list(customers.purchases(0, customers.history))
    first, again = DeskLine(RULES), DeskLine(RULES)
    state: dict[bytes, bytes | None] = {}
    answers = list[Output]()
    for at in range(0, len(bought), 7):
        answers += first.decide(bought[at : at + 7])
        state |= first.changes()
    again.restore({key: value for key, value in state.items() if value is not None})
    assert again.decide(bought) == answers
