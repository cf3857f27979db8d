"""Row by row: credit limits, repayments and labels take effect at their place among the purchases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models.account import CreditLimit, Repayment
from models.purchase import Purchase
from rules.columns.purchases import columns_of
from rules.columns.table import NEVER_MS
from rules.language.compile import CompiledRuleset, compile_ruleset
from streams.backtest.row_path import RowPath
from streams.timeline.timeline import AccountEvent, Block
from tests.streams.backtest.story import MINUTE_MS, START_MS, purchase

CREDIT = compile_ruleset("ruleset: r\nrules: [{id: over, when: amount > available_credit, then: block}]")
FRAUD = compile_ruleset("ruleset: r\nrules: [{id: bad, when: 'count(merchant_id, 1h, fraud) > 0', then: flag}]")


def at_minute(minutes: int) -> int:
    return START_MS + minutes * MINUTE_MS


def block(
    minutes: Sequence[int], accounts: Sequence[AccountEvent] = (), fraud_known_ms: Sequence[int] = (), first: int = 0
) -> Block:
    """Purchases of 10.00 CNY by one account."""
    purchases = [
        Purchase.model_validate(purchase(number, "a-1", 1_000, minute)) for number, minute in enumerate(minutes, first)
    ]
    values = [purchase.model_dump_json().encode() for purchase in purchases]
    columns = columns_of(purchases, fraud_known_ms or [NEVER_MS] * len(purchases))
    return Block(columns, values, accounts, np.zeros(len(purchases), np.int8))


def row_path(ruleset: CompiledRuleset = CREDIT) -> RowPath:
    return RowPath(ruleset, lambda _: 0)


def limit(minor: int, minute: int, currency: str = "CNY") -> CreditLimit:
    return CreditLimit(account_id="a-1", credit_limit=minor, currency=currency, event_time=at_minute(minute))


def repayment(number: int, minor: int, minute: int) -> Repayment:
    return Repayment(
        repayment_id=f"r-{number}", account_id="a-1", amount=minor, currency="CNY", event_time=at_minute(minute)
    )


def test_credit_takes_effect_before_the_purchase_that_it_is_put_before() -> None:
    events = [
        AccountEvent(1, limit(1_500, 1)),
        AccountEvent(3, repayment(1, 1_000, 3)),
        AccountEvent(4, limit(0, 4)),
    ]
    judged = row_path().judge(block([0, 1, 2, 3, 4], events))
    # Without a limit nothing is over it. Purchase 0 has used 10.00 of the 15.00, until these are paid back.
    assert judged.hits.tolist() == [[False, True, True, False, True]]
    assert judged.actions.tolist() == [0, 2, 2, 0, 2]


def test_credit_behind_the_last_purchase_counts_in_the_next_block() -> None:
    path = row_path()
    assert path.judge(block([0], [AccountEvent(1, limit(500, 1))])).actions.tolist() == [0]
    assert path.judge(block([1], first=1)).actions.tolist() == [2]


def test_credit_without_a_rate_is_counted_and_has_no_effect() -> None:
    path = row_path()
    assert path.judge(block([0], [AccountEvent(0, limit(0, 0, "USD"))])).actions.tolist() == [0]
    assert path.account_records_without_rate == 1


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_label_counts_from_its_own_time_on_and_never_for_its_own_purchase(rows: int) -> None:
    minutes = [0, 1, 2, 3, 70]
    # The first is known at the moment of the third; the last before it was bought.
    known_ms = [at_minute(2), NEVER_MS, NEVER_MS, NEVER_MS, at_minute(1)]
    path, hits = row_path(FRAUD), list[bool]()
    for begin in range(0, len(minutes), rows):
        part = slice(begin, begin + rows)
        hits += path.judge(block(minutes[part], fraud_known_ms=known_ms[part], first=begin)).hits[0].tolist()
    assert hits == [False, False, True, True, False]


def test_what_has_no_rate_is_told_apart_and_learned_nowhere() -> None:
    usd = Purchase.model_validate(purchase(1, "a-1", 1_000, 0, currency="USD"))
    path = row_path(compile_ruleset("ruleset: r\nrules: [{id: two, when: 'count(account_id, 1h) > 1', then: flag}]"))
    columns = columns_of([usd])
    judged = path.judge(Block(columns, [usd.model_dump_json().encode()], (), np.zeros(1, np.int8)))
    assert judged.ok.tolist() == [False]
    assert path.judge(block([1], first=2)).actions.tolist() == [0]
