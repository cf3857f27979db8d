"""The charts of a backtest's report: the old ruleset beside the new one, by action, by rule and by week."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from models.decision import Action
from streams.backtest.report import Acted, BacktestReport, Caught, Cell, RuleReport, Week, WeekSide
from streams.backtest.views import RuleRows, SideName, acted, judged_weeks, rule_rows, sides, unjudged, week_sides
from streams.formats import Formats
from streams.pages.charts import FRAUD, GENUINE, NEW, OLD, UNKNOWN, Chart, Look, Series, Unit, bars, lines

_LOOKS = {"old": OLD, "new": NEW}
_STOPS = (Action.FLAG, Action.BLOCK)


def report_charts(report: BacktestReport, formats: Formats) -> list[Chart]:
    """All charts that the report has figures for; none where nothing was compared."""
    if not report.compared:
        return []
    return [
        *_action_charts(report, formats),
        *_change_charts(report, formats),
        *_rule_charts(report, formats),
        *_week_charts(report, formats),
        *_caught_charts(report, formats),
    ]


def _action_charts(report: BacktestReport, formats: Formats) -> Iterator[Chart]:
    def chart(name: str, title: str, value: Callable[[Acted], float], text: Callable[[Acted], str]) -> Chart:
        done: list[tuple[SideName, list[Acted]]] = [
            (side, [acted(ruleset, action) for action in _STOPS]) for side, ruleset in sides(report)
        ]
        series = [_series(side, [value(each) for each in acts], [text(each) for each in acts]) for side, acts in done]
        return bars(name, title, ["flagged", "blocked"], series)

    def counted(each: Acted) -> str:
        return formats.count(each.purchases)

    yield chart("actions", "Purchases flagged and blocked", lambda each: each.purchases, counted)
    yield chart(
        "action-amounts",
        f"Amount flagged and blocked ({report.currency})",
        lambda each: formats.major(each.amount_minor),
        lambda each: formats.money(each.amount_minor),
    )


def _change_charts(report: BacktestReport, formats: Formats) -> Iterator[Chart]:
    """Which way purchases went; with labels, how much of it was fraud."""
    changes = [cell for cell in report.matrix if cell.old != cell.new]
    if not changes:
        return
    parts: list[tuple[str, Look, Callable[[Cell], int]]] = [("purchases", NEW, lambda cell: cell.purchases)]
    if report.labels is not None:
        parts = [
            ("fraud", FRAUD, lambda cell: cell.fraud or 0),
            ("genuine", GENUINE, lambda cell: cell.genuine or 0),
            ("unknown", UNKNOWN, unjudged),
        ]
    series = [
        Series(name, look, [of(cell) for cell in changes], [formats.count(of(cell)) for cell in changes])
        for name, look, of in parts
    ]
    labels = [f"{cell.old.value} → {cell.new.value}" for cell in changes]
    yield bars("changes", "Purchases decided differently, old → new", labels, series, stacked=True)


def _rule_charts(report: BacktestReport, formats: Formats) -> Iterator[Chart]:
    rows = rule_rows(report)

    def chart(name: str, title: str, of: Callable[[RuleReport], int]) -> Chart:
        series = [_rule_series(side, rows, formats, of) for side, _ in sides(report)]
        return bars(name, title, [row.rule for row in rows], series)

    if rows:
        yield chart("hits", "Hits of each rule", lambda rule: rule.hits)
        yield chart("hits-alone", "Hits alone: no other live rule matched", lambda rule: rule.hits_alone)


def _rule_series(side: SideName, rows: Sequence[RuleRows], formats: Formats, of: Callable[[RuleReport], int]) -> Series:
    """A rule that the ruleset does not have has no bar, and no text."""
    found = [row.sides.get(side) for row in rows]
    counts = [None if rule is None else of(rule) for rule in found]
    return _series(side, counts, ["" if count is None else formats.count(count) for count in counts])


def _week_charts(report: BacktestReport, formats: Formats) -> Iterator[Chart]:
    def chart(name: str, title: str, of: Callable[[WeekSide], int]) -> Chart:
        return _by_week(name, title, report.weeks, of, lambda side: formats.count(of(side)))

    yield chart("week-flagged", "Purchases flagged, by week", lambda side: side.flag)
    yield chart("week-blocked", "Purchases blocked, by week", lambda side: side.block)


def _caught_charts(report: BacktestReport, formats: Formats) -> Iterator[Chart]:
    weeks = judged_weeks(report)

    def shares(name: str, title: str, of: Callable[[Caught], float | None]) -> Chart:
        def share(side: WeekSide) -> float | None:
            return of(_stopped(side))

        return _by_week(name, title, weeks, share, lambda side: formats.share(share(side)), unit="share")

    def amounts(name: str, title: str, of: Callable[[Caught], int]) -> Chart:
        def minor(side: WeekSide) -> int:
            return of(_stopped(side))

        named = f"{title} ({report.currency})"
        return _by_week(
            name, named, weeks, lambda side: formats.major(minor(side)), lambda side: formats.money(minor(side))
        )

    if weeks:
        yield shares("week-precision", "Precision, by week", lambda caught: caught.precision)
        yield shares("week-recall", "Recall, by week", lambda caught: caught.recall)
        yield amounts("week-saved", "Amount saved, by week", lambda caught: caught.amount_saved_minor)
        title = "Amount wrongly stopped, by week"
        yield amounts("week-wrongly-stopped", title, lambda caught: caught.amount_wrongly_stopped_minor)


def _by_week(
    name: str,
    title: str,
    weeks: Sequence[Week],
    value: Callable[[WeekSide], float | None],
    text: Callable[[WeekSide], str],
    *,
    unit: Unit = "number",
) -> Chart:
    did: dict[SideName, list[WeekSide]] = {}
    for week in weeks:
        for name_of_side, side in week_sides(week):
            did.setdefault(name_of_side, []).append(side)
    series = [
        _series(side, [value(each) for each in its_weeks], [text(each) for each in its_weeks])
        for side, its_weeks in did.items()
    ]
    return lines(name, title, [week.begins for week in weeks], series, unit=unit)


def _stopped(side: WeekSide) -> Caught:
    assert side.caught is not None, "a week that is judged has labels"
    return side.caught.stopped


def _series(side: SideName, values: Sequence[float | None], texts: Sequence[str]) -> Series:
    return Series(side, _LOOKS[side], values, texts)
