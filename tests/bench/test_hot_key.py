"""Purchases with a merchant that has many of them, and the station alone."""

from __future__ import annotations

import orjson
import pytest

from bench.hot_key import DAY_MS, HOT, HOT_SHARE, PURCHASES_A_DAY, StationLine, Variants, simulated
from rules.route import read_route


def test_simulated_purchases_are_as_dense_as_a_million_a_day() -> None:
    times = [purchase["event_time"] for purchase in simulated(3_000)]
    assert len(times) == 3_000
    assert max(times) - min(times) == pytest.approx(3_000 * DAY_MS / PURCHASES_A_DAY, rel=0.1)


def test_both_variants_differ_in_the_merchant_of_the_hot_purchases_alone() -> None:
    variants = Variants(simulated(2_000))
    even, hot = ([orjson.loads(sent.value) for sent in variants.sent(hot=hot)] for hot in (False, True))
    assert sum(variants.at_hot) == pytest.approx(2_000 * HOT_SHARE, rel=0.15)
    for before, after, at_hot in zip(even, hot, variants.at_hot, strict=True):
        assert after == ({**before, "merchant_id": HOT} if at_hot else before)
        assert before["merchant_id"] != HOT


@pytest.mark.parametrize("merchants", [1, 7])
def test_the_station_stamps_every_purchase_for_its_merchant(merchants: int) -> None:
    line = StationLine(merchants, HOT_SHARE)
    counted: dict[str, int] = {}
    for run in line.runs(210):
        for record, output in zip(run, line.take(run), strict=True):
            merchant = orjson.loads(record.value or b"")["merchant_id"]
            (stamp,) = read_route(record._replace(headers=output.headers))[0].stamps
            assert (output.topic, stamp[0]) == ("assessments", "merchant_id")
            counted[merchant] = counted.get(merchant, 0) + 1
    assert counted == {f"m-{number}": 210 // merchants for number in range(merchants)}
