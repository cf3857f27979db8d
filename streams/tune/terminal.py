"""A sweep's report for a terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.formats import Formats
from streams.tune.report import Budget, Curve, Figures, TuneReport
from streams.tune.words import budget_in_words, changes_in_words, shown_front, values_in_words

# More are in the JSON and on the page.
_MOST_OF_FRONT: Final = 12
_NONE: Final = "–"  # noqa: RUF001  # an en dash stands for a figure that is not there
_FIGURES: Final = ("recall", "precision", "flagged", "blocked", "good hit", "cost")


def summary(report: TuneReport) -> RenderableType:
    """The report in short."""
    parts: list[RenderableType] = [_head(report)]
    parts += [_curve(report, curve) for curve in report.curves]
    parts += [_front(report)]
    if report.budget is not None:
        parts += [_choice(report, report.budget)]
    parts += [Text(f"Note: {note}", "yellow") for note in report.notes]
    return Group(*(line for part in parts for line in (part, "")))


def patch_text(patch: str) -> Text:
    """A patch in the colours that are usual for one."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    lines = [Text(line, "bold" if line[:3] in ("---", "+++") else styles.get(line[:1], "")) for line in _lines(patch)]
    return Text("\n").join(lines)


def _lines(patch: str) -> list[str]:
    return [line.removesuffix("\r") for line in patch.removesuffix("\n").split("\n")]


def _head(report: TuneReport) -> Text:
    recorded, labels = report.recording, report.labels
    because = f": {report.rows_because}" if report.rows_because else ""
    unlabelled = "count as good" if labels.unlabelled_as == "genuine" else "left out"
    lines = [
        Text.assemble((f"{report.ruleset} {report.version}", "bold"), f" ({report.file}), {report.path}{because}"),
        Text(f"{recorded.name}: {recorded.purchases:,} purchases, {len(report.candidates):,} candidates"),
        Text(
            f"{labels.fraud:,} fraud and {labels.genuine:,} good by their labels; {labels.unlabelled:,} without a "
            f"label {unlabelled}; {labels.too_young:,} of the last {labels.maturity_d:g} days left out"
        ),
    ]
    if report.holdout is not None:
        split = _formats(report).minute(report.holdout.split_ms)
        lines.append(Text(f"figures are of the purchases before {split} ({report.time_zone}); the others are held out"))
    return Text("\n").join(lines)


def _curve(report: TuneReport, curve: Curve) -> Table:
    table = _table(f"${curve.param}", *_FIGURES[:-1], f"cost {report.currency}")
    for point in curve.points:
        is_present = point.value == curve.present
        figures = report.candidates[point.candidate].figures
        table.add_row(
            f"{point.value}{' now' if is_present else ''}", *_cells(report, figures), style="bold" * is_present
        )
    return table


def _front(report: TuneReport) -> Table:
    shown = shown_front(report, _MOST_OF_FRONT)
    rest = len(report.front) - len(shown)
    table = _table("No other is better", *_FIGURES[:-1], f"cost {report.currency}")
    for number in shown:
        candidate = report.candidates[number]
        table.add_row(
            values_in_words(candidate),
            *_cells(report, candidate.figures),
            style="bold" if number == report.best else "",
        )
    if rest:
        table.caption = f"{rest:,} more of them are in the JSON"
        table.caption_justify = "left"
    return table


def _choice(report: TuneReport, budget: Budget) -> Group:
    if report.best is None:
        assert report.nearest is not None, "there is a budget"
        told = Text.assemble(
            (f"Nothing is within the budget ({budget_in_words(budget, report.currency)}). ", "bold red"),
            f"Nearest: {changes_in_words(report.candidates[report.nearest])}.",
        )
        return Group(told, *_parts(report, report.nearest, "nearest"))
    told = Text.assemble(
        (f"Best within the budget ({budget_in_words(budget, report.currency)}): ", "bold"),
        changes_in_words(report.candidates[report.best]),
    )
    return Group(told, *_parts(report, report.best, "best"))


def _parts(report: TuneReport, number: int, name: str) -> Iterator[Table]:
    """The figures of a candidate beside those of the file as it is, in both parts."""
    table = _table("", *_FIGURES[:-1], f"cost {report.currency}")
    rows = [("now", report.candidates[0])] + ([(name, report.candidates[number])] if number else [])
    for told, candidate in rows:
        table.add_row(told, *_cells(report, candidate.figures))
    for told, candidate in rows:
        if candidate.held_out is not None:
            table.add_row(f"{told}, held out", *_cells(report, candidate.held_out))
    yield table


def _cells(report: TuneReport, figures: Figures) -> list[str]:
    stopped, formats = figures.stopped, _formats(report)
    return [
        formats.share(stopped.recall),
        formats.share(stopped.precision),
        formats.share(figures.flag_share),
        formats.share(figures.block_share),
        formats.count(stopped.fp),
        formats.money(figures.cost_minor),
    ]


def _formats(report: TuneReport) -> Formats:
    return Formats(report.currency, report.time_zone, _NONE)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(title, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
