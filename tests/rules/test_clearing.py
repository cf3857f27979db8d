"""Clearing times over several logs, some with merged rows, against a walk over their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.calendar import period_clock
from rules.clearing import Clearer
from rules.entity import transaction_hash, value_hash
from rules.plan import Aggregate, Calendar, Clearing, Feature, Outcome, Period, Trailing, Window
from rules.velocity import EntityLogs, Subject
from rules.windows import WindowLog
from tests.rules.language.test_verdicts import purchase

# Ten minutes before a midnight in Shanghai.
START_MS = 1_792_943_400_000
MINUTE_MS = 60_000
CLOCK = period_clock("Asia/Shanghai")
FIELD = "merchant_id"
MERCHANTS = ["m-1", "m-2", "m-3", "m-4"]
WINDOWS_AND_OUTCOMES = [
    (window, outcome)
    for window in (Trailing(10 * MINUTE_MS), Trailing(MINUTE_MS), Calendar(Period.TODAY))
    for outcome in (None, *Outcome)
]
# Minutes, so that times coincide, within and about the windows; the purchase itself comes at the 20th.
ROWS = st.lists(st.tuples(st.integers(0, 25), st.integers(1, 9), st.sampled_from([None, *MERCHANTS])), max_size=24)
NOW_MS = START_MS + 20 * MINUTE_MS


class Logs(NamedTuple):
    """The logs of an entity."""

    approved: WindowLog
    declined: WindowLog
    fraud: WindowLog
    released: WindowLog


def log_of(rows: list[tuple[int, int, str | None]], *, merged: bool) -> WindowLog:
    log = WindowLog()
    log.add_column(FIELD)
    for number, (minute, amount, merchant) in enumerate(rows):
        value = value_hash(purchase(merchant_id=merchant), FIELD) if merchant is not None else 0
        log.insert(START_MS + minute * MINUTE_MS, amount, transaction_hash(f"t-{number}"), [value])
    if merged:
        log.merge(12)
    return log


def walked(feature: Feature, clearing: Clearing, logs: EntityLogs, subject: Subject) -> int | None:
    """Rows are counted from the newest on, beside the retry, until they are too many."""
    outcome = feature.outcome
    counted = {
        None: (logs.approved, logs.declined, logs.released),
        Outcome.APPROVED: (logs.approved,),
        Outcome.DECLINED: (logs.declined,),
        Outcome.FRAUD: (logs.fraud,),
    }[outcome]
    rows: list[tuple[int, int, int, int]] = [
        (row.time_ms, row.purchases, row.sum_minor, row.values[0])
        for log in counted
        if log is not None
        for row in log.rows()
    ]
    itself = (NOW_MS, 1, subject.amount_minor, value_hash(subject.purchase, FIELD))
    from_ms = max([NOW_MS, *(time_ms for time_ms, *_ in rows)])
    if outcome in (None, Outcome.DECLINED) and not subject.known:
        rows.append(itself)
    taken: list[tuple[int, int, int, int]] = [itself] if outcome in (None, Outcome.APPROVED) else []
    if over(feature, clearing, taken):
        return None
    window = feature.window
    for row in sorted(rows, key=lambda row: row[0], reverse=True):
        taken.append(row)
        if over(feature, clearing, taken):
            if isinstance(window, Trailing):
                return max(from_ms, row[0] + window.length_ms)
            start_ms, end_ms = CLOCK.bounds_ms(Period.TODAY, from_ms)
            return end_ms if row[0] >= start_ms else from_ms
    return from_ms


def over(feature: Feature, clearing: Clearing, taken: Sequence[tuple[int, int, int, int]]) -> bool:
    size = {
        Aggregate.COUNT: sum(purchases for _, purchases, _, _ in taken),
        Aggregate.SUM: sum(sum_minor for _, _, sum_minor, _ in taken),
        Aggregate.DISTINCT: len({value for _, _, _, value in taken} - {0}),
    }[feature.aggregate]
    return size > clearing.threshold if clearing.op == ">" else size >= clearing.threshold


@pytest.mark.parametrize(
    ("aggregate", "field", "most"),
    [(Aggregate.COUNT, None, 30), (Aggregate.SUM, "amount", 120), (Aggregate.DISTINCT, FIELD, 5)],
)
@settings(max_examples=300, deadline=None)
@given(
    drawn=st.lists(st.tuples(ROWS, st.booleans()), min_size=4, max_size=4),
    counted=st.sampled_from(WINDOWS_AND_OUTCOMES),
    limits=st.lists(st.tuples(st.sampled_from([">", ">="]), st.floats(0, 1)), min_size=1, max_size=3),
    amount=st.integers(1, 9),
    known=st.booleans(),
    share=st.floats(0, 1),
)
def test_a_limit_clears_when_a_walk_over_the_newest_rows_no_longer_breaks_it(
    drawn: list[tuple[list[tuple[int, int, str | None]], bool]],
    counted: tuple[Window, Outcome | None],
    limits: list[tuple[str, float]],
    amount: int,
    known: bool,
    share: float,
    aggregate: Aggregate,
    field: str | None,
    most: int,
) -> None:
    window, outcome = counted
    clearings = tuple(Clearing(op, round(part * most)) for op, part in limits)
    feature = Feature("f", aggregate, ("account_id",), window, field, outcome, clearings)
    value = round(share * most)
    logs = Logs(*[log_of(rows, merged=merged) for rows, merged in drawn])
    subject = Subject(purchase(event_time=NOW_MS), amount, transaction_hash("t"), known)
    found = Clearer(feature).clears(value, logs, subject, CLOCK)
    holding = [value > each.threshold if each.op == ">" else value >= each.threshold for each in clearings]
    expected = [
        walked(feature, each, logs, subject) if holds else None for each, holds in zip(clearings, holding, strict=True)
    ]
    assert list(found) == (expected if any(holding) else [])
