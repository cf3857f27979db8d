"""Charts for a page: bars and lines of a few series that are compared, as plotly figures.

A chart shows texts that a table on the page shows as well. It is drawn to fit a phone, and fits a printed page as it
is: the page gives it no more width than paper has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import plotly.graph_objects as go

# Enough for a rule's name; what is longer is cut on the axis, the table has it whole.
_LABEL_CHARS: Final = 22
_BAR_PX: Final = 17
# Room for a text inside.
_STACKED_BAR_PX: Final = 22
_GROUP_GAP_PX: Final = 12
_FRAME_PX: Final = 84
_LINES_PX: Final = 260
# From where on ticks are whole per cents, or thousands with a k.
_COARSE_SHARE: Final = 0.04
_MANY: Final = 10_000
_FEW: Final = 5
_LINE: Final = "#c9ced6"
_TEXT: Final = "#30363f"
_MUTED: Final = "#8b93a1"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# The form of a figure's axis: plain numbers, or per cent from 0 to 100.
Unit = Literal["number", "share"]


class Look(NamedTuple):
    """How a series is told from the others: by its colour, and without colour by its hatching, dashes and markers.

    `ink` is the colour of a text on it.
    """

    colour: str
    ink: str = "#ffffff"
    pattern: str = ""
    dash: str = "solid"
    marker: str = "circle"


OLD: Final = Look("#8b93a1", pattern="/", dash="dot", marker="circle-open")
NEW: Final = Look("#2f6fd0")
FRAUD: Final = Look("#b8322a")
GENUINE: Final = Look("#8fcaa3", ink="#1d222a", pattern="/")
UNKNOWN: Final = Look("#d0d5dd", ink="#1d222a")


class Series(NamedTuple):
    """One value for each label (None: nothing to show), `texts` as they are written in the table."""

    name: str
    look: Look
    values: Sequence[float | None]
    texts: Sequence[str]


class Chart(NamedTuple):
    """A chart: `name` is unique on its page, `title` says what is drawn, `figure` is plotly's."""

    name: str
    title: str
    figure: Mapping[str, Any]


def bars(
    name: str,
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    stacked: bool = False,
) -> Chart:
    """Horizontal bars, the first label on top; the series of a label below each other, or stacked to one bar."""
    places = list(range(len(labels)))
    traces = [
        go.Bar(
            name=plain(each.name),
            orientation="h",
            y=places,
            x=list(each.values),
            text=[plain(text) for text in each.texts],
            textposition="inside" if stacked else "outside",
            insidetextanchor="middle",
            insidetextfont={"color": each.look.ink},
            textangle=0,
            cliponaxis=False,
            constraintext="inside" if stacked else "none",
            customdata=_hovers(labels, each),
            hovertemplate="%{customdata}<extra></extra>",
            marker=_fill(each.look),
        )
        for each in series
    ]
    a_label_px = (_STACKED_BAR_PX if stacked else len(series) * _BAR_PX) + _GROUP_GAP_PX
    layout = base_layout(height_px=_FRAME_PX + len(labels) * a_label_px)
    layout |= {
        "barmode": "stack" if stacked else "group",
        "bargap": _GROUP_GAP_PX / a_label_px,
        # A part of a stacked bar that its text does not fit in is told by the table alone.
        "uniformtext": {"minsize": 10, "mode": "hide" if stacked else "show"},
        "xaxis": value_axis("number", _largest(series, stacked=stacked), room=0.04 if stacked else _text_room(series)),
        "yaxis": {
            "tickvals": places,
            "ticktext": [plain(cut(label)) for label in labels],
            "range": [len(labels) - 0.5, -0.5],
            "automargin": True,
            "fixedrange": True,
            "zeroline": False,
            "showgrid": False,
            "ticklen": 6,
            "tickcolor": "rgba(0,0,0,0)",
        },
    }
    return Chart(name, title, figure_of(traces, layout))


def lines(name: str, title: str, labels: Sequence[str], series: Sequence[Series], *, unit: Unit = "number") -> Chart:
    """Lines over labels in order, such as weeks; a line is broken where a value is missing."""
    traces = [
        go.Scatter(
            name=plain(each.name),
            mode="lines+markers",
            x=[plain(label) for label in labels],
            y=list(each.values),
            customdata=_hovers(labels, each),
            hovertemplate="%{customdata}<extra></extra>",
            line={"color": each.look.colour, "dash": each.look.dash, "width": 2},
            marker={"symbol": each.look.marker, "size": 7},
            cliponaxis=False,
        )
        for each in series
    ]
    layout = base_layout(height_px=_LINES_PX)
    # The last label reaches beyond its place on the axis.
    layout["margin"]["r"] = 34
    layout |= {
        "xaxis": {
            "type": "category",
            "range": [-0.6, len(labels) - 0.4],
            "nticks": 4,
            "tickangle": 0,
            "ticklabelstandoff": 5,
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
        },
        "yaxis": {**value_axis(unit, _largest(series, stacked=False), room=0.1), "automargin": True},
    }
    return Chart(name, title, figure_of(traces, layout))


def plain(text: str) -> str:
    """A text that plotly shows as it is: it takes some markup for formatting and links."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _hovers(labels: Sequence[str], series: Series) -> list[str]:
    told = zip(labels, series.texts, strict=True)
    return [f"{plain(label)}<br>{plain(series.name)}: {plain(text)}" for label, text in told]


def cut(label: str) -> str:
    """As much of a label as an axis has room for."""
    return label if len(label) <= _LABEL_CHARS else label[: _LABEL_CHARS - 1] + "…"


def _fill(look: Look) -> dict[str, Any]:
    return {
        "color": look.colour,
        "pattern": {
            "shape": look.pattern,
            "fillmode": "overlay",
            "fgcolor": "#ffffff",
            "fgopacity": 0.45,
            "size": 6,
            "solidity": 0.25,
        },
    }


def _largest(series: Sequence[Series], *, stacked: bool) -> float:
    rows = list(zip(*(each.values for each in series), strict=True))
    sums = [sum(value or 0 for value in row) if stacked else max(value or 0 for value in row) for row in rows]
    return max(sums, default=0)


def _text_room(series: Sequence[Series]) -> float:
    """The part of the longest bar that its text needs behind it, on a narrow screen."""
    return 0.1 + 0.032 * max((len(text) for each in series for text in each.texts), default=0)


def value_axis(unit: Unit, largest: float, *, room: float) -> dict[str, Any]:
    """An axis from 0, with `room` for the part of the largest value that is kept free beyond it."""
    if unit == "share":
        tick_format = ".0%" if largest > _COARSE_SHARE else ".2~%"
    else:
        tick_format = ",~s" if largest >= _MANY else ",~g"
    # Where all is small, ticks stand at whole numbers: there is no half a purchase.
    ticks = {"dtick": 1} if unit == "number" and largest <= _FEW else {"nticks": 5}
    return {
        **ticks,
        "range": [0, largest * (1 + room) or 1],
        "tickformat": tick_format,
        "fixedrange": True,
        "gridcolor": _LINE,
        "zerolinecolor": _LINE,
    }


def base_layout(*, height_px: int) -> dict[str, Any]:
    """What all charts have in common."""
    return {
        "template": "none",
        "height": height_px,
        "margin": {"l": 8, "r": 12, "t": 34, "b": 36},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": _FONT, "size": 12, "color": _TEXT},
        "separators": ".,",
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "traceorder": "normal",
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": _MUTED, "activecolor": _TEXT},
        # A finger that scrolls the page must not be caught by a chart.
        "dragmode": False,
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": _LINE, "font": {"color": _TEXT}, "align": "left"},
    }


def figure_of(traces: Sequence[Any], layout: Mapping[str, Any]) -> dict[str, Any]:
    """A figure as JSON holds it."""
    figure: Any = go.Figure(data=list(traces), layout=dict(layout))
    return figure.to_plotly_json()
