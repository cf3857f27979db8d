"""Medians, spreads and percentiles of a benchmark's turns."""

from __future__ import annotations

from bench.figures import Spread, percentile, spread


def test_a_spread_is_the_median_and_the_range_of_the_turns() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([5.0]) == Spread(5.0, 5.0, 5.0)


def test_a_spread_reads_as_its_median_with_the_range_behind_it() -> None:
    assert Spread(12345.6, 1.0, 20000.0).text() == "12,346 (1..20,000)"
    assert Spread(1.234, 1.0, 2.0).text(2) == "1.23 (1.00..2.00)"


def test_a_percentile_is_one_of_the_values_and_the_largest_at_the_end() -> None:
    values = [float(number) for number in range(1_000)]
    assert percentile(values, 0.5) == 500.0
    assert percentile(values, 0.999) == 999.0
    assert percentile(values[::-1], 1.0) == 999.0
