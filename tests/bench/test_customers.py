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
from bench.stage import RULES
from rules.fold import Output

START_MS = 1_772_431_200_000
ACCOUNT_RULES = RULES["account_only"]


@given(st.integers(1, 60), st.integers(1, 30), st.integers(0, 200))
def test_active_accounts_buy_in_turn_and_nobody_else_does(accounts: int, count: int, begin: int) -> None:
    customers = Customers(accounts, 2, START_MS)
    active = customers.active(count, begin)
    turns = [list(customers.purchases(begin + n, begin + n + len(active), active)) for n in (0, len(active))]
    assert len(active) == min(count, accounts)
    for turn in turns:
        assert sorted(bought.account for bought in turn) == sorted(active)
    assert turns[0] + turns[1] == list(customers.purchases(begin, begin + 2 * len(active), active))


def test_each_purchase_is_a_transaction_of_its_own() -> None:
    customers = Customers(30, 2, START_MS)
    bought = [*customers.first_day(), *customers.purchases(60, 100, customers.active(10, 60))]
    assert len({orjson.loads(each.value)["transaction_id"] for each in bought}) == 100


@pytest.mark.parametrize("accounts", [3, 50, 400])
def test_each_account_buys_equally_often_on_the_first_day(accounts: int) -> None:
    customers = Customers(accounts, 8, START_MS)
    bought = list(customers.first_day())
    assert set(Counter(each.account for each in bought).values()) == {8}
    assert [each.at_ms for each in bought] == sorted(each.at_ms for each in bought)
    assert bought[-1].at_ms < START_MS + DAY_MS <= START_MS + int(customers.history * customers.interval_ms)


def test_chosen_accounts_buy_what_they_buy_among_all() -> None:
    customers = Customers(30, 2, START_MS)
    chosen = np.arange(30) % 3 == 0
    some = list(customers.first_day(chosen))
    assert some == [each for each in customers.first_day() if each.account % 3 == 0]


def test_customers_end_when_they_are_told_to() -> None:
    customers = Customers.until(10, 4, 25, START_MS)
    *_, last = customers.purchases(customers.history, customers.history + 25, customers.active(10, 0))
    assert START_MS - 2 * customers.interval_ms < last.at_ms <= START_MS


@pytest.mark.parametrize("rows", [1, 32])
def test_all_purchases_are_approved(rows: int) -> None:
    decisions = [orjson.loads(output.value or b"") for output in _decided(Customers(20, rows, START_MS))]
    assert len(decisions) == 20 * rows * 3
    assert {decision["action"] for decision in decisions} == {"approve"}


def _decided(customers: Customers) -> list[Output]:
    line = DeskLine(ACCOUNT_RULES)
    later = customers.purchases(customers.history, customers.history * 3, customers.active(customers.accounts, 0))
    outputs = line.decide([*customers.first_day(), *later])
    return [output for output in outputs if output.topic == "decisions"]


def test_a_desk_knows_the_accounts_again_by_what_was_written() -> None:
    customers = Customers(20, 2, START_MS)
    bought = list(customers.first_day())
    first, again = DeskLine(ACCOUNT_RULES), DeskLine(ACCOUNT_RULES)
    state: dict[bytes, bytes | None] = {}
    answers = list[Output]()
    for at in range(0, len(bought), 7):
        answers += first.decide(bought[at : at + 7])
        state |= first.changes()
    again.restore({key: value for key, value in state.items() if value is not None})
    assert again.decide(bought) == answers
