"""The parts of the columnar evaluator, and what they promise, by example."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from models.purchase import Purchase
from rules.calendar import PeriodClock
from rules.columns.amounts import converted
from rules.columns.evaluate import ColumnarRuleset, ColumnarSweep, columnar_obstacle
from rules.columns.grouped import stable_order
from rules.columns.local_time import hours_of, local_ms, period_starts_ms, weekdays_of
from rules.columns.purchases import columns_of, purchase_at, text_column
from rules.columns.table import MISSING, NEVER_MS
from rules.columns.texts import TextNumbers
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.plan import Period
from tests.rules.columns.by_rows import by_rows
from tests.rules.columns.streams import DAY_MS, HOUR_MS, START_MS, purchase, stream, verify_equal, verify_table


def ruleset(*rules: str, head: str = "time_zone: UTC", then: str = "flag") -> CompiledRuleset:
    lines = ["ruleset: shown", head, "rules:"]
    for number, when in enumerate(rules):
        lines += [f"  - id: r-{number}", f"    when: {when}", f"    then: {then}"]
    return compile_ruleset("\n".join(lines))


def bought(*times_ms: int, seed: int = 1, account: str = "a-1", currency: str = "CNY") -> list[Purchase]:
    rng = random.Random(seed)
    return [purchase(rng, number, time_ms, account, currency) for number, time_ms in enumerate(times_ms)]


@pytest.mark.parametrize(
    ("when", "obstacle"),
    [
        ("count(account_id, 1h, approved) > 1", "count(account_id, 1h, approved) depends on how"),
        ("count(account_id, 1h, declined) > 1", "count(account_id, 1h, declined) depends on how"),
        ("anomaly > 0.9", "anomaly depends on"),
        ("amount > available_credit", "available_credit and credit_limit depend on"),
        ("count(account_id, 1h, fraud) > 1", None),
        ("count(ip, 1h) > 1 and hour > 3", None),
    ],
)
def test_what_depends_on_decisions_is_an_obstacle(when: str, obstacle: str | None) -> None:
    compiled = ruleset(when)
    said = columnar_obstacle(compiled.plan)
    assert said is None if obstacle is None else said is not None and said.startswith(obstacle)
    if obstacle is not None:
        with pytest.raises(ValueError, match="shown can't be evaluated on columns"):
            ColumnarRuleset(compiled)


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.parametrize(
    ("gap_ms", "count", "since", "age"),
    [
        (HOUR_MS - 1, 2, HOUR_MS - 1, HOUR_MS - 1),
        (HOUR_MS, 1, HOUR_MS, HOUR_MS),
        (30 * DAY_MS, 1, 30 * DAY_MS, 30 * DAY_MS),
        # Beyond what `since` looks back, and not yet forgotten: logs are kept a day longer, for what comes late.
        (30 * DAY_MS + 1, 1, None, 30 * DAY_MS + 1),
        (31 * DAY_MS - 1, 1, None, 31 * DAY_MS - 1),
        (31 * DAY_MS, 1, None, 0),
    ],
)
def test_the_edges_of_windows_and_of_what_is_remembered(
    gap_ms: int, count: int, since: int | None, age: int, cut: int
) -> None:
    compiled = ruleset("count(account_id, 1h) > 9", "since(account_id) > 1s", "age(account_id) > 1s")
    purchases, run = bought(START_MS, START_MS + gap_ms), ColumnarRuleset(compiled)
    for part in (purchases[:cut], purchases[cut:]):
        evaluated = run.take(columns_of(part))
        if part and part[-1] is purchases[-1]:
            values = {
                name.partition("(")[0]: int(column.values[-1]) if column.known[-1] else None
                for name, column in zip(compiled.plan.feature_names, evaluated.values, strict=True)
            }
            assert values == {"count": count, "since": since, "age": age}
    verify_equal(compiled, purchases, [NEVER_MS] * 2, [slice(0, cut), slice(cut, 2)])


@pytest.mark.parametrize(
    ("known_after_ms", "counted"),
    [(0, 1), (DAY_MS, 1), (2 * DAY_MS, 1), (2 * DAY_MS + 1, 0), (-DAY_MS, 1), (40 * DAY_MS, 0)],
)
def test_fraud_counts_once_it_is_known_and_never_for_itself(known_after_ms: int, counted: int) -> None:
    compiled = ruleset("count(account_id, 30d, fraud) > 0")
    purchases = bought(START_MS, START_MS + 2 * DAY_MS)
    known_ms = [START_MS + known_after_ms, START_MS]
    (column,) = ColumnarRuleset(compiled).take(columns_of(purchases, known_ms)).values
    assert column.values.tolist() == [0, counted]
    verify_equal(compiled, purchases, known_ms, [slice(0, 2)])


def test_a_purchase_without_a_rate_counts_nowhere() -> None:
    compiled = ruleset("count(account_id, 1h) > 0")
    purchases = [*bought(START_MS), *bought(START_MS, seed=2, currency="EUR"), *bought(START_MS, seed=3)]
    evaluated = ColumnarRuleset(compiled).take(columns_of(purchases))
    assert evaluated.ok.tolist() == [True, False, True]
    assert evaluated.values[0].values.tolist() == [1, 0, 2]
    assert evaluated.values[0].known.tolist() == [True, False, True]
    assert evaluated.hits.tolist() == [[True, False, True]]


def test_sums_past_64_bits_read_as_the_largest_number() -> None:
    whens = ["sum(amount, account_id, 30d) > 1", "avg(amount, account_id, 30d) > 1", "sum(amount, ip, 30d, fraud) > 1"]
    compiled = ruleset(*whens, "avg(amount, ip, 30d, fraud) > 1", head="rates: {USD: 999}")
    rng = random.Random(1)
    purchases = [purchase(rng, n, START_MS + n, "a-1", "USD").model_copy(update={"ip": "ip"}) for n in range(40)]
    purchases = [each.model_copy(update={"amount": 10**15 - number}) for number, each in enumerate(purchases)]
    evaluated = ColumnarRuleset(compiled).take(columns_of(purchases, [START_MS + 50] * 40))
    assert (
        int(evaluated.values[compiled.plan.feature_names.index("sum(amount, account_id, 30d)")].values[-1]) == 2**63 - 1
    )
    verify_equal(compiled, purchases, [START_MS + 5] * 40, [slice(0, 7), slice(7, 40)])


@pytest.mark.parametrize(("then", "max_rows"), [("flag", 32), ("block", 32), ("block", 33)])
def test_logs_that_merge_are_measured_as_they_are_kept(then: str, max_rows: int) -> None:
    whens = ["sum(amount, account_id, 1h) > 1_000.00", "count(merchant_id, 1h) > 9", "max(amount, account_id, 10m) > 9"]
    compiled = ruleset(*whens, head=f"max_rows: {max_rows}", then=then)
    rng = random.Random(4)
    purchases = [purchase(rng, number, START_MS + 20_000 * number, "a-1", "CNY") for number in range(400)]
    expected, run = by_rows(compiled, purchases), ColumnarRuleset(compiled)
    exact = ruleset(*whens, head="max_rows: 4096", then=then)
    merged = [row.values for row in expected if row] != [row.values for row in by_rows(exact, purchases) if row]
    assert merged, "merging made no difference"
    for begin in range(0, 400, 70):
        verify_table(compiled, run.take(columns_of(purchases[begin : begin + 70])), expected[begin : begin + 70])


def sweep_of(whens: list[str], thresholds: list[int], heads: list[str]) -> list[CompiledRuleset]:
    return [ruleset(*(when.format(t) for when in whens), head=head, then="block") for t in thresholds for head in heads]


def test_rulesets_of_a_sweep_come_to_what_each_comes_to_alone() -> None:
    whens = ["count(account_id, 1h) > {0}", "sum(amount, merchant_id, {0}d) > 5", "hour > {0} or age(device_id) < {0}h"]
    heads = ["time_zone: UTC", "time_zone: Asia/Tokyo", "currency: USD", "max_rows: 32", "rates: {USD: 7.1}"]
    rulesets = [*sweep_of(whens, [1, 2, 3, 40], heads), *sweep_of([*whens, "since(ip) < {0}h"], [1], heads)]
    sweep, alone = ColumnarSweep(rulesets), [ColumnarRuleset(each) for each in rulesets]
    purchases = stream(random.Random(9), 300, ["CNY", "USD"], pauses=True)
    for begin in range(0, 300, 80):
        table = columns_of(purchases[begin : begin + 80])
        for together, single in zip(sweep.take(table), alone, strict=True):
            expected = single.take(table)
            assert np.array_equal(together.hits, expected.hits)
            assert np.array_equal(together.actions, expected.actions)
            for one, other in zip(together.values, expected.values, strict=True):
                assert np.array_equal(one.values, other.values)
                assert np.array_equal(one.known, other.known)


def test_a_sweep_is_asked_for_all_rulesets_before_the_next_table() -> None:
    sweep = ColumnarSweep([ruleset("amount > 1"), ruleset("amount > 2")])
    table = columns_of(bought(START_MS))
    next(iter(sweep.take(table)))
    with pytest.raises(RuntimeError, match="was not evaluated under all rulesets"):
        next(iter(sweep.take(table)))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York", "Africa/Cairo"])
def test_local_time_is_that_of_the_clock(zone: str) -> None:
    # Half an hour is more than an hour's offset changes by, anywhere; two years have all changes of clocks.
    times_ms = np.arange(START_MS, START_MS + 731 * DAY_MS, 1_799_999)
    clock = PeriodClock(zone)
    local = local_ms(clock, times_ms)
    said = [clock.local(int(time_ms)) for time_ms in times_ms]
    offsets = [moment.utcoffset() for moment in said]
    assert [timedelta(milliseconds=ms) for ms in (local - times_ms).tolist()] == offsets
    assert hours_of(local).tolist() == [moment.hour for moment in said]
    assert weekdays_of(local).tolist() == [moment.isoweekday() for moment in said]
    for period in Period:
        starts = [PeriodClock(zone).bounds_ms(period, int(time_ms))[0] for time_ms in times_ms[::29]]
        assert period_starts_ms(clock, period, times_ms)[::29].tolist() == starts


def test_amounts_are_converted_as_single_ones_are() -> None:
    purchases = [*bought(START_MS, currency="USD"), *bought(START_MS, currency="EUR"), *bought(START_MS)]
    purchases[0] = purchases[0].model_copy(update={"amount": 5})
    amounts, ok = converted(columns_of(purchases), "CNY", {"USD": Decimal("7.1")})
    # 35.5 is as near to 35 as to 36.
    assert amounts.tolist()[:2] == [36, 0]
    assert ok.tolist() == [True, False, True]


def test_what_is_converted_past_all_reason_has_no_amount() -> None:
    purchases = [bought(START_MS, currency="USD")[0].model_copy(update={"amount": 10**15})]
    amounts, ok = converted(columns_of(purchases), "CNY", {"USD": Decimal(10**6)})
    assert (amounts.tolist(), ok.tolist()) == ([0], [False])


def test_a_purchase_survives_its_columns() -> None:
    purchases = stream(random.Random(3), 60, ["CNY", "EUR"], pauses=False)
    table = columns_of(purchases)
    for row, each in enumerate(purchases):
        read = purchase_at(table, row)
        assert read.model_dump(exclude={"instalments"}) == each.model_dump(exclude={"instalments"})
        assert (read.instalments and read.instalments.count) == (each.instalments and each.instalments.count)


def test_texts_keep_their_numbers_while_they_are_used_and_are_forgotten_after() -> None:
    numbers = TextNumbers()
    numbers.number(text_column([f"old-{number}" for number in range(10_000)]))
    kept = numbers.number(text_column(["kept", None, "old-7", "kept"]))
    kept = numbers.forget(kept)
    assert len(numbers) == 2
    assert np.array_equal(numbers.number(text_column(["kept", None, "old-7", "kept"])), kept)
    assert kept[1] == MISSING
    assert numbers.number(text_column(["new"])).tolist() == [2]


def test_entities_that_were_forgotten_mix_with_no_others() -> None:
    compiled = ruleset("count(device_id, 1h) > 1 and distinct(ip, device_id, 1h) > 0")
    rng, purchases = random.Random(8), list[Purchase]()
    for number in range(6_000):
        # Months lie between the thirds; devices of one third come again in the next.
        time_ms = START_MS + number * 500 + number // 2_000 * 60 * DAY_MS
        drawn = {"device_id": f"d-{rng.randrange(number // 2, number // 2 + 2_500)}", "ip": f"ip-{number}"}
        purchases.append(purchase(rng, number, time_ms, "a-1", "CNY").model_copy(update=drawn))
    cuts = [slice(begin, begin + 1_000) for begin in range(0, 6_000, 1_000)]
    verify_equal(compiled, purchases, [NEVER_MS] * len(purchases), cuts)


def test_a_few_texts_are_not_forgotten() -> None:
    numbers = TextNumbers()
    before = numbers.number(text_column(["a", "b"]))
    assert numbers.forget(before[:1]).tolist() == [0]
    assert numbers.number(text_column(["b"])).tolist() == [1]


@pytest.mark.parametrize("largest", [5, 2**61])
def test_equal_keys_stay_in_their_order(largest: int) -> None:
    keys = np.array([largest, 0, 3, largest, 0, 3], np.int64)
    assert stable_order(keys).tolist() == [1, 4, 2, 5, 0, 3]
