"""What the charts draw is what the report says, value for value, and what they tell is what they draw."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from models.decision import Action
from streams.backtest.report import Caught, RuleReport, WeekSide
from streams.backtest.report_charts import report_charts
from streams.backtest.views import acted, judged_weeks
from streams.formats import Formats
from streams.pages.charts import NEW, OLD, Series, bars
from tests.streams.backtest.sample_report import sample_report

REPORT = sample_report()
CHARTS = {chart.name: chart for chart in report_charts(REPORT, Formats(REPORT.currency, REPORT.time_zone))}


def drawn(name: str) -> dict[str, list[float | None]]:
    """The values of each series of a chart, along the axis of values."""
    axis = "y" if name.startswith("week") else "x"
    return {trace["name"]: trace[axis] for trace in CHARTS[name].figure["data"]}


def stopped(side: WeekSide) -> Caught:
    assert side.caught is not None
    return side.caught.stopped


def test_actions_are_drawn_as_reported() -> None:
    assert REPORT.old is not None
    sides = {"old": REPORT.old, "new": REPORT.new}
    acts = {name: [acted(side, action) for action in (Action.FLAG, Action.BLOCK)] for name, side in sides.items()}
    assert drawn("actions") == {name: [each.purchases for each in done] for name, done in acts.items()}
    assert drawn("action-amounts") == {name: [each.amount_minor / 100 for each in done] for name, done in acts.items()}


def test_changes_are_drawn_as_reported() -> None:
    changes = [cell for cell in REPORT.matrix if cell.old != cell.new]
    shown = drawn("changes")
    assert shown["fraud"] == [cell.fraud for cell in changes]
    assert shown["genuine"] == [cell.genuine for cell in changes]
    whole = [sum(value or 0 for value in part) for part in zip(*shown.values(), strict=True)]
    assert whole == [cell.purchases for cell in changes]


@pytest.mark.parametrize(("name", "field"), [("hits", "hits"), ("hits-alone", "hits_alone")])
def test_rules_are_drawn_as_reported(name: str, field: str) -> None:
    assert REPORT.old is not None
    rules = list(dict.fromkeys(rule.rule for rule in (*REPORT.new.rules, *REPORT.old.rules)))

    def hits(have: list[RuleReport]) -> list[int | None]:
        found = {rule.rule: getattr(rule, field) for rule in have}
        return [found.get(rule) for rule in rules]

    assert drawn(name) == {"old": hits(REPORT.old.rules), "new": hits(REPORT.new.rules)}


WEEKLY: dict[str, Callable[[WeekSide], float | None]] = {
    "week-flagged": lambda side: side.flag,
    "week-blocked": lambda side: side.block,
    "week-precision": lambda side: stopped(side).precision,
    "week-recall": lambda side: stopped(side).recall,
    "week-saved": lambda side: stopped(side).amount_saved_minor / 100,
    "week-wrongly-stopped": lambda side: stopped(side).amount_wrongly_stopped_minor / 100,
}


@pytest.mark.parametrize("name", list(WEEKLY))
def test_weeks_are_drawn_as_reported(name: str) -> None:
    of = WEEKLY[name]
    weeks = REPORT.weeks if name in ("week-flagged", "week-blocked") else judged_weeks(REPORT)
    assert drawn(name) == {
        "old": [of(week.old) for week in weeks if week.old is not None],
        "new": [of(week.new) for week in weeks],
    }
    assert [trace["x"] for trace in CHARTS[name].figure["data"]] == [[week.begins for week in weeks]] * 2


@pytest.mark.parametrize("name", list(CHARTS))
def test_a_chart_tells_the_values_that_it_draws(name: str) -> None:
    for trace in CHARTS[name].figure["data"]:
        for value, told in zip(drawn(name)[trace["name"]], trace["customdata"], strict=True):
            text = told.rpartition(": ")[2]
            if value is None:
                assert text in ("", "n/a")
            elif text.endswith("%"):
                assert abs(float(text[:-1]) / 100 - value) <= 0.000051
            else:
                assert Decimal(text.replace(",", "")) == Decimal(str(value))


def test_names_that_begin_alike_have_a_bar_each() -> None:
    names = [f"a-rule-with-a-name-that-is-long-{number}" for number in range(3)]
    chart = bars("hits", "Hits", names, [Series("old", OLD, [1, 2, 3], "123"), Series("new", NEW, [3, 2, 1], "321")])
    axis: dict[str, Any] = chart.figure["layout"]["yaxis"]
    assert len(set(axis["ticktext"])) == 1
    assert [trace["y"] for trace in chart.figure["data"]] == [axis["tickvals"]] * 2 == [[0, 1, 2]] * 2
