"""The bound on a log: totals stay whole, and the error of a window stays small, whatever comes."""

from __future__ import annotations

import random
from array import array
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.entity import transaction_hash
from rules.kept_log import KeptLog
from rules.merged_rows import merging
from rules.velocity import Subject
from rules.windows import WindowLog
from tests.rules.test_velocity import PLAN, START_MS, purchase


def enter(kept: KeptLog, number: int, time_ms: int, amount: int, max_rows: int) -> list[bytes]:
    bought = purchase(number, time_ms, amount, f"m-{number % 7}")
    subject = Subject(bought, amount, transaction_hash(bought.transaction_id))
    return list(kept.enter(subject, PLAN.distinct_fields, max_rows, 0))


def filled(seed: int, purchases: int, max_rows: int) -> tuple[KeptLog, list[tuple[int, int]]]:
    rng, kept, seen = random.Random(seed), KeptLog(), list[tuple[int, int]]()
    for number in range(purchases):
        time_ms = START_MS + number * 1_000 + rng.randrange(-5_000, 5_000)
        seen.append((time_ms, rng.randrange(1, 1_000)))
        enter(kept, number, *seen[-1], max_rows)
    return kept, seen


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), purchases=st.integers(1, 3_000))
def test_past_its_cap_a_log_keeps_its_total_and_errs_by_less_than_a_row(seed: int, purchases: int) -> None:
    kept, seen = filled(seed, purchases, max_rows=64)
    log = kept
    assert len(log) <= 64
    assert log.count(0, len(log)) == len(seen)
    assert log.sums[-1] - log.sums[0] == sum(amount for _, amount in seen)
    for after_ms in (START_MS, START_MS + purchases * 300, START_MS + purchases * 900):
        first, end = log.span(after_ms, START_MS + purchases * 2_000)
        exact = sum(1 for time_ms, _ in seen if time_ms > after_ms)
        edge = log.row(first).purchases if first < len(log) else 1
        assert exact <= log.count(first, end) + 5, "rows merge forward in time only"
        assert abs(log.count(first, end) - exact) < edge + 5


def test_the_share_of_a_window_that_a_merged_row_holds_stays_small() -> None:
    kept, seen = filled(3, 100_000, max_rows=512)
    log = kept
    newest_ms = max(time_ms for time_ms, _ in seen)
    for purchases in (100, 1_000, 10_000, 50_000):
        after_ms = newest_ms - purchases * 1_000
        first, end = log.span(after_ms, newest_ms)
        exact = sum(1 for time_ms, _ in seen if time_ms > after_ms)
        assert abs(log.count(first, end) - exact) <= 0.05 * exact


@settings(max_examples=40, deadline=None)
@given(
    times=st.lists(st.integers(0, 50), min_size=1, max_size=200),
    max_rows=st.sampled_from([32, 512]),
    expire_at=st.integers(0, 50),
)
def test_a_log_read_back_from_its_chunks_is_the_log_that_was_kept(
    times: list[int], max_rows: int, expire_at: int
) -> None:
    kept = KeptLog()
    chunks: dict[int, bytes] = {}
    for number, offset in enumerate(times):
        if number == len(times) // 2:
            kept.expire(START_MS + expire_at)
        enter(kept, number, START_MS + offset, 1 + offset, max_rows)
        for chunk, raw in kept.changes():
            if raw is None:
                chunks.pop(chunk, None)
            else:
                chunks[chunk] = raw
        read_back = KeptLog.restored(chunks)
        assert list(read_back.rows()) == list(kept.rows())
        assert read_back.first_seen_ms == kept.first_seen_ms
    # What is entered next lies in the same chunks.
    read_back = KeptLog.restored(chunks)
    for log in (read_back, kept):
        enter(log, 10_000, START_MS + 25, 5, max_rows)
    assert read_back.changes() == kept.changes()


def test_sums_outgrow_64_bits_without_harm() -> None:
    log = WindowLog()
    for number in range(20):
        log.insert(number, 10**18, transaction_hash(str(number)), ())
    assert log.sums[-1] - log.sums[0] == 20 * 10**18


def shares_of_pairs(purchases: list[int]) -> list[float]:
    """What each pair of neighbours stands for beside all that is newer, where something is."""
    return [
        (purchases[place] + purchases[place + 1]) / sum(purchases[place + 2 :]) for place in range(len(purchases) - 2)
    ]


def merging_row_by_row(purchases: list[int], target: int) -> list[int]:
    """Which rows merge, as it is said: from the oldest on rows take in those before them, the share doubles."""
    rows, share = [(number, count) for number, count in enumerate(purchases)], 1 / 512
    spare = len(rows) - target
    while spare > 0:
        while share < sorted(shares_of_pairs([count for _, count in rows]))[:spare][-1]:
            share *= 2
        left: list[tuple[int, int]] = []
        newer = sum(purchases)
        for number, count in rows:
            newer -= count
            if left and spare and left[-1][1] + count <= share * newer:
                count, spare = left.pop()[1] + count, spare - 1
            left.append((number, count))
        rows, share = left, share * 2
    staying = {number for number, _ in rows}
    return [number for number in range(len(purchases)) if number not in staying]


@settings(max_examples=200, deadline=None)
@given(
    purchases=st.lists(st.one_of(st.just(1), st.integers(1, 400)), min_size=3, max_size=300),
    before=st.integers(0, 9),
    share=st.floats(0.3, 0.95),
)
def test_rows_merge_as_if_each_were_looked_at(purchases: list[int], before: int, share: float) -> None:
    target = max(int(len(purchases) * share), 2)
    totals = array("q", accumulate(purchases, initial=before))
    assert merging(totals, target) == merging_row_by_row(purchases, target)


@settings(max_examples=100, deadline=None)
@given(
    bought=st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1, 2**40, 2**63 - 1])), min_size=1, max_size=30),
    removed=st.lists(st.integers(0, 29), max_size=8),
)
def test_totals_are_those_of_the_rows_in_whatever_order_they_come_and_go(
    bought: list[tuple[int, int]], removed: list[int]
) -> None:
    log, rows = WindowLog(), list[tuple[int, bytes, int]]()
    for number, (time_ms, amount) in enumerate(bought):
        transaction = transaction_hash(str(number))
        rows = sorted([*rows, (time_ms, transaction, amount)])
        assert log.insert(time_ms, amount, transaction, ()) == rows.index((time_ms, transaction, amount))
    for place in removed:
        if len(rows) > 1:
            log.remove(place % len(rows))
            del rows[place % len(rows)]
    assert [(row.time_ms, row.transaction, row.sum_minor) for row in log.rows()] == rows


@pytest.mark.parametrize("max_rows", [200, 4_096])
def test_a_long_log_knows_the_transactions_of_its_rows_and_no_others(max_rows: int) -> None:
    rng, kept, other = random.Random(7), KeptLog(), KeptLog()
    for number in range(1_500):
        enter(kept, number, START_MS + number * 1_000 + rng.randrange(-5_000, 5_000), 5, max_rows)
        if number % 50 == 49:
            kept.expire(START_MS + (number - 600) * 1_000)
        if number % 40 == 39:
            kept.move(transaction_hash(f"t-{number - rng.randrange(100)}"), other, max_rows, 0)
        if number % 10 == 0:
            rows = {row.transaction for row in kept.rows()}
            asked = [transaction_hash(f"t-{each}") for each in range(max(number - 800, 0), number + 20, 7)]
            assert [kept.has(each) for each in asked] == [each in rows for each in asked]


@pytest.mark.parametrize("max_rows", [32, 512])
def test_sums_that_outgrow_64_bits_are_read_back(max_rows: int) -> None:
    kept, chunks = KeptLog(), dict[int, bytes]()
    for number in range(60):
        subject = Subject(purchase(number, START_MS + number, 1), 10**18, transaction_hash(f"t-{number}"))
        kept.enter(subject, (), max_rows, 0)
        for chunk, raw in kept.changes():
            if raw is None:
                chunks.pop(chunk, None)
            else:
                chunks[chunk] = raw
        read_back = KeptLog.restored(chunks)
        assert list(read_back.rows()) == list(kept.rows())
        assert list(read_back.sums) == list(kept.sums)
