"""A sweep's report as one page that stands alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from streams.formats import Formats
from streams.pages.shell import Tile, render
from streams.tune.charts import charts_of
from streams.tune.report import Figures, TuneReport
from streams.tune.words import budget_in_words, changes_in_words


@dataclass(frozen=True)
class _Column:
    """A figure of a candidate: its heading, its format, what it is, and a word on it."""

    heading: str
    form: Literal["share", "count", "money"]
    of: Callable[[Figures], float | None]
    detail: str


_COLUMNS: Final = (
    _Column("recall", "share", lambda figures: figures.stopped.recall, "of the fraud is stopped"),
    _Column("recall, blocked", "share", lambda figures: figures.only_blocked.recall, "of the fraud is blocked"),
    _Column("precision", "share", lambda figures: figures.stopped.precision, "of what is stopped is fraud"),
    _Column("flagged", "share", lambda figures: figures.flag_share, "of all purchases"),
    _Column("blocked", "share", lambda figures: figures.block_share, "of all purchases"),
    _Column("good stopped", "count", lambda figures: figures.stopped.fp, "good purchases flagged or blocked"),
    _Column("cost", "money", lambda figures: figures.cost_minor, "their amount"),
)


def render_page(report: TuneReport) -> str:
    """The page, as text to be written in UTF-8.

    It holds the whole report as JSON in the element with the id `report`, every figure of the front, of curves and of
    grids in tables, and charts of them that are drawn where scripts run.
    """
    formats = Formats(report.currency, report.time_zone)
    chosen = report.best if report.best is not None else report.nearest

    def cell(column: _Column, figures: Figures) -> str:
        return getattr(formats, column.form)(column.of(figures))

    def cells(figures: Figures) -> list[str]:
        return [cell(column, figures) for column in _COLUMNS]

    now = report.candidates[0].figures
    then = None if chosen is None else report.candidates[chosen].figures
    tiles = [Tile(each.heading, cell(each, then), cell(each, now), each.detail) for each in _COLUMNS] if then else []
    return render(
        "tune.html",
        formats=formats,
        data=report,
        charts=list(charts_of(report, formats)),
        report=report,
        columns=[column.heading for column in _COLUMNS],
        cells=cells,
        changes=changes_in_words,
        budget=budget_in_words(report.budget, report.currency) if report.budget is not None else None,
        chosen=None if chosen is None else report.candidates[chosen],
        tiles=tiles,
    )
