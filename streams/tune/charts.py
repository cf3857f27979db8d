"""The charts of a sweep: the front, each parameter's curves, and each pair's maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import plotly.graph_objects as go

from streams.formats import Formats
from streams.pages.charts import (
    FRAUD,
    GENUINE,
    NEW,
    OLD,
    Chart,
    Look,
    Series,
    Unit,
    base_layout,
    cut,
    figure_of,
    lines,
    plain,
    value_axis,
)
from streams.tune.report import CandidateReport, Curve, Figures, Grid, TuneReport
from streams.tune.words import changes_told

_HEIGHT_PX: Final = 380
_CELL_PX: Final = 34
_MAP_FRAME_PX: Final = 120
# From so great a quotient of most and fewest on, an axis is logarithmic.
_WIDE: Final = 30
# In a map with more columns than this the numbers have no room.
_MOST_TOLD: Final = 7
_MUTED: Final = "#b6bcc7"
_BEST: Final = Look("#b8322a", marker="star")
_RECALL_SCALE: Final = [[0.0, "#eef3fb"], [1.0, "#1f57ad"]]
_GOOD_SCALE: Final = [[0.0, "#fbf3ea"], [1.0, "#b26a00"]]


def front_chart(report: TuneReport, formats: Formats) -> Chart:
    """All candidates by what they stop: fraud upwards, good purchases to the right."""
    goods = [each.figures.stopped.fp for each in report.candidates]
    is_wide = min(goods) > 0 and max(goods) / min(goods) > _WIDE
    most = max(goods)
    traces = [
        _dots(report, formats, range(len(report.candidates)), "tried", mode="markers", colour=_MUTED, size=6),
        _dots(report, formats, report.front, "no other is better", mode="lines+markers", colour=NEW.colour, size=7),
        _dots(report, formats, [0], "as it is", mode="markers", colour="#b26a00", size=12, symbol="diamond"),
    ]
    if report.best is not None:
        traces.append(
            _dots(
                report,
                formats,
                [report.best],
                "best within the budget",
                mode="markers",
                colour=_BEST.colour,
                size=14,
                symbol=_BEST.marker,
            )
        )
    layout = base_layout(height_px=_HEIGHT_PX)
    across = value_axis("number", most, room=0.05) | {"title": {"text": "good purchases stopped", "standoff": 8}}
    if is_wide:
        across |= {"type": "log", "range": None, "autorange": True, "nticks": 6, "tickformat": "~s"}
    layout |= {
        "hovermode": "closest",
        "xaxis": across,
        "yaxis": {
            **value_axis("share", max(each.figures.stopped.recall or 0 for each in report.candidates), room=0.05),
            "title": {"text": "recall", "standoff": 8},
            "automargin": True,
        },
    }
    layout["margin"]["b"] = 56
    layout["margin"]["t"] = 60
    return Chart("front", "Fraud stopped against good purchases stopped", figure_of(traces, layout))


def curve_charts(report: TuneReport, curve: Curve, number: int, formats: Formats) -> list[Chart]:
    """A parameter swept alone."""
    figures = [report.candidates[point.candidate].figures for point in curve.points]
    names = _names([point.value for point in curve.points])
    labels = [
        f"{name} (now)" if point.value == curve.present else name
        for name, point in zip(names, curve.points, strict=True)
    ]

    def shares(name: str, look: Look, of: Callable[[Figures], float | None]) -> Series:
        values = [of(each) for each in figures]
        return Series(name, look, values, [formats.share(value) for value in values])

    costs = [each.cost_minor for each in figures]
    cost = Series("cost", OLD, [formats.major(each) for each in costs], [formats.money(each) for each in costs])
    recall = shares("recall", NEW, lambda each: each.stopped.recall)
    precision = shares("precision", GENUINE, lambda each: each.stopped.precision)
    flagged = shares("flagged", OLD, lambda each: each.flag_share)
    blocked = shares("blocked", FRAUD, lambda each: each.block_share)
    drawn: list[tuple[str, str, list[Series], Unit]] = [
        ("caught", "recall and precision", [recall, precision], "share"),
        ("stopped", "share stopped", [flagged, blocked], "share"),
        ("cost", f"cost ({report.currency})", [cost], "number"),
    ]
    return [
        lines(f"curve-{number}-{name}", f"${curve.param}: {title}", labels, series, unit=unit)
        for name, title, series, unit in drawn
    ]


def grid_charts(report: TuneReport, grid: Grid, number: int, formats: Formats) -> list[Chart]:
    """Two parameters swept together."""
    figures = [[report.candidates[each].figures for each in row] for row in grid.candidates]
    recalls = [[each.stopped.recall for each in row] for row in figures]
    goods = [[each.stopped.fp for each in row] for row in figures]
    recall_texts = [[formats.share(value) for value in row] for row in recalls]
    good_texts = [[formats.count(value) for value in row] for row in goods]
    named = f"${grid.first} and ${grid.second}"
    return [
        Chart(f"grid-{number}-recall", f"{named}: recall", _map(grid, recalls, recall_texts, _RECALL_SCALE)),
        Chart(f"grid-{number}-good", f"{named}: good purchases stopped", _map(grid, goods, good_texts, _GOOD_SCALE)),
    ]


def charts_of(report: TuneReport, formats: Formats) -> Iterator[Chart]:
    """All charts of a report."""
    yield front_chart(report, formats)
    for number, curve in enumerate(report.curves):
        yield from curve_charts(report, curve, number, formats)
    for number, grid in enumerate(report.grids):
        yield from grid_charts(report, grid, number, formats)


def _names(values: Sequence[str]) -> list[str]:
    """Values that fit an axis: long texts are cut, and numbered so that no two are alike."""
    return [value if cut(value) == value else f"{number}. {cut(value)}" for number, value in enumerate(values, 1)]


def _dots(
    report: TuneReport,
    formats: Formats,
    numbers: Sequence[int],
    name: str,
    *,
    mode: str,
    colour: str,
    size: int,
    symbol: str = "circle",
) -> Any:
    candidates = [report.candidates[number] for number in numbers]
    return go.Scatter(
        name=name,
        mode=mode,
        x=[each.figures.stopped.fp for each in candidates],
        y=[each.figures.stopped.recall for each in candidates],
        customdata=[_hover(each, formats) for each in candidates],
        hovertemplate="%{customdata}<extra></extra>",
        line={"color": colour, "width": 1.5},
        marker={"color": colour, "size": size, "symbol": symbol},
        cliponaxis=False,
    )


def _hover(candidate: CandidateReport, formats: Formats) -> str:
    figures = candidate.figures
    told = [
        *changes_told(candidate),
        f"recall {formats.share(figures.stopped.recall)}, precision {formats.share(figures.stopped.precision)}",
        f"good purchases stopped {formats.count(figures.stopped.fp)}, {formats.money_named(figures.cost_minor)}",
        f"flagged {formats.share(figures.flag_share)}, blocked {formats.share(figures.block_share)}",
    ]
    return "<br>".join(map(plain, told))


def _map(grid: Grid, values: Sequence[Sequence[float | None]], texts: list[list[str]], scale: Any) -> dict[str, Any]:
    columns = [plain(name) for name in _names(grid.second_values)]
    rows = [plain(name) for name in _names(grid.first_values)]
    hovers = [
        [
            f"{plain(grid.first)} {row}<br>{plain(grid.second)} {column}<br>{plain(text)}"
            for column, text in zip(columns, row_texts, strict=True)
        ]
        for row, row_texts in zip(rows, texts, strict=True)
    ]
    trace = go.Heatmap(
        x=list(range(len(columns))),
        y=list(range(len(rows))),
        z=values,
        text=[[plain(text) for text in row] for row in texts],
        texttemplate="%{text}" if len(columns) <= _MOST_TOLD else "",
        customdata=hovers,
        hovertemplate="%{customdata}<extra></extra>",
        colorscale=scale,
        showscale=False,
        xgap=1,
        ygap=1,
    )
    layout = base_layout(height_px=_MAP_FRAME_PX + len(rows) * _CELL_PX)
    axis = {"fixedrange": True, "showgrid": False, "zeroline": False, "automargin": True, "ticklen": 0}
    layout |= {
        "showlegend": False,
        "xaxis": {
            **axis,
            "tickvals": list(range(len(columns))),
            "ticktext": columns,
            "title": {"text": plain(grid.second), "standoff": 8},
        },
        "yaxis": {
            **axis,
            "tickvals": list(range(len(rows))),
            "ticktext": rows,
            "autorange": "reversed",
            "title": {"text": plain(grid.first), "standoff": 8},
        },
    }
    layout["margin"]["t"] = 30
    return figure_of([trace], layout)
