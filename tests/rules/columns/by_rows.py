"""The row path: one purchase after the other through the line that a backtest runs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from models.purchase import Purchase
from rules.columns.table import NEVER_MS
from rules.language.compile import CompiledRuleset
from rules.line import Line
from rules.step import amount_in


class RowResult(NamedTuple):
    """What one purchase came to: its features in the plan's order, the rules that matched, the action."""

    amount_minor: int
    values: list[int | None]
    matched: set[str]
    action: str


def by_rows(
    ruleset: CompiledRuleset, purchases: Sequence[Purchase], fraud_known_ms: Sequence[int] | None = None
) -> list[RowResult | None]:
    """What each purchase comes to; None where the ruleset has no rate for its currency.

    A label that becomes known in the same moment comes before the purchase, but none before the one that it is on.
    """
    # Columns take no ruleset that asks for what lies in a partition.
    line = Line(ruleset, lambda _: 0)
    results, known = list[RowResult | None](), list[tuple[int, int]]()
    for number, purchase in enumerate(purchases):
        while known and known[0][0] <= purchase.event_time:
            line.fraud(purchases[heapq.heappop(known)[1]])
        results.append(_result(ruleset, line, purchase))
        if fraud_known_ms and fraud_known_ms[number] != NEVER_MS:
            heapq.heappush(known, (fraud_known_ms[number], number))
    return results


def _result(ruleset: CompiledRuleset, line: Line, purchase: Purchase) -> RowResult | None:
    decision = line.take(purchase)
    if decision is None:
        return None
    matched = {reason.rule for reason in (*decision.reasons, *decision.shadow)}
    values = [decision.features[name] for name in ruleset.plan.feature_names]
    return RowResult(amount_in(ruleset.plan, purchase), values, matched, decision.action)
