"""Calendar periods against a walk over the minutes, through changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.calendar import PeriodClock, period_clock
from rules.plan import Period
from tests.oracle import local_date_start_ms

ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu", "UTC"]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@given(
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(Period),
    at_ms=st.integers(ms("2015-01-01T00:00:00"), ms("2030-01-01T00:00:00")),
)
# Clocks in Sao Paulo skipped midnight on 4 November 2018; in Havana they pass it twice in autumn.
@example(zone="America/Sao_Paulo", period=Period.TODAY, at_ms=ms("2018-11-04T12:00:00"))
@example(zone="America/Havana", period=Period.TODAY, at_ms=ms("2024-11-03T04:30:00"))
@example(zone="America/Havana", period=Period.TODAY, at_ms=ms("2024-11-03T05:30:00"))
def test_a_period_begins_at_its_first_local_instant(zone: str, period: Period, at_ms: int) -> None:
    start_ms, end_ms = period_clock(zone).bounds_ms(period, at_ms)
    assert start_ms == local_date_start_ms(ZoneInfo(zone), at_ms, period)
    assert start_ms <= at_ms < end_ms
    assert period_clock(zone).bounds_ms(period, end_ms)[0] == end_ms


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00:00", 25),
        ("Asia/Shanghai", "2026-03-29T12:00:00", 24),
    ],
)
def test_a_day_has_as_many_hours_as_its_clock_shows(zone: str, day: str, hours: int) -> None:
    start_ms, end_ms = period_clock(zone).bounds_ms(Period.TODAY, ms(day))
    assert end_ms - start_ms == hours * 3_600_000


@pytest.mark.parametrize("period", [Period.TODAY, Period.THIS_MONTH])
def test_a_period_that_began_goes_on_where_the_clock_goes_back_across_midnight(period: Period) -> None:
    # In St. John's clocks went from 00:01 on 1 November 2009 back to 23:01 on 31 October.
    began_ms = ms("2009-11-01T02:30:00")
    for order in ((0, 30), (30, 0)):
        clock = PeriodClock("America/St_Johns")
        found = {minutes: clock.bounds_ms(period, began_ms + minutes * 60_000) for minutes in order}
        assert found[0] == found[30]
        assert found[0][0] == began_ms
    assert PeriodClock("America/St_Johns").bounds_ms(period, began_ms - 1)[1] == began_ms
