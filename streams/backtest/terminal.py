"""A backtest's report for a terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.decision import Reason
from models.money import format_minor
from rules.columns.evaluate import ACTIONS
from streams.backtest.report import BacktestReport, Caught, Flip, Labels, RuleReport, Side, Why
from streams.formats import Formats
from streams.show import STYLES, reason_text, shortened

# More are in the JSON and on the page.
_MOST_FLIPS: Final = 5
_NONE: Final = "–"  # noqa: RUF001  # an en dash stands for a figure that is not there


def summary(report: BacktestReport) -> RenderableType:
    """The report in short."""
    parts: list[RenderableType] = [_head(report), _actions(report)]
    if report.old is not None:
        parts += [_matrix(report)]
    parts += [_rules(report.new, report, "New rules")]
    if report.old is not None:
        parts += [_rules(report.old, report, "Old rules")]
    if report.labels is not None:
        parts += [_labels(report, report.labels)]
    if report.flips is not None and report.flips.examples:
        parts += list(_flips(report, report.flips.examples[:_MOST_FLIPS], report.flips.purchases))
    parts += [Text(f"Note: {note}", "yellow") for note in report.notes]
    return Group(*(line for part in parts for line in (part, "")))


def _head(report: BacktestReport) -> Text:
    recorded, formats = report.recording, _formats(report)
    lines = [Text.assemble(("new  ", "bold"), _told(report.new))]
    if report.old is not None:
        lines.append(Text.assemble(("old  ", "bold"), _told(report.old)))
    days = [formats.day(at_ms) for at_ms in (recorded.first_ms, recorded.last_ms) if at_ms is not None]
    span = f", {' to '.join(dict.fromkeys(days))}" if days else ""
    lines.append(Text(f"{recorded.name}: {report.compared:,} purchases compared{span} ({report.time_zone})"))
    left_out = {
        "repeats": recorded.repeats,
        "conflicts": recorded.conflicts,
        "malformed": recorded.malformed,
        "future": recorded.future,
        "oversized": recorded.oversized,
        "without a rate": recorded.purchases - report.compared,
        "bad account records": recorded.bad_account_records,
        "bad labels": recorded.bad_labels,
    }
    told = ", ".join(f"{what} {count:,}" for what, count in left_out.items() if count)
    if told:
        lines.append(Text(f"left out: {told}", "dim"))
    return Text("\n").join(lines)


def _told(side: Side) -> str:
    rate = f" at {side.purchases_per_s:,.0f}/s" if side.purchases_per_s is not None else ""
    because = f": {side.rows_because}" if side.rows_because else ""
    where = side.file or "in force last in the recording"
    return f"{side.ruleset} {side.version} ({where}), {side.path}{rate}{because}"


def _actions(report: BacktestReport) -> Table:
    formats = _formats(report)
    old = report.old
    table = _table("", *(["old", "share"] if old else []), "new", "share", f"new {report.currency}", "of amount")
    for action in ACTIONS:
        was, now = old and getattr(old.actions, action.value), getattr(report.new.actions, action.value)
        table.add_row(
            Text(action.value, STYLES[action]),
            *([formats.count(was.purchases), formats.share(was.share)] if was else []),
            formats.count(now.purchases),
            formats.share(now.share),
            formats.money(now.amount_minor),
            formats.share(now.amount_share),
        )
    return table


def _matrix(report: BacktestReport) -> Table:
    formats = _formats(report)
    table = _table("old \\ new", *(action.value for action in ACTIONS))
    cells = {(cell.old, cell.new): cell.purchases for cell in report.matrix}
    for old in ACTIONS:
        counts = [Text(formats.count(cells[old, new]), "" if old is new else "bold") for new in ACTIONS]
        table.add_row(Text(old.value, STYLES[old]), *counts)
    return table


def _rules(side: Side, report: BacktestReport, title: str) -> Table:
    labelled, formats = report.labels is not None, _formats(report)
    table = _table(title, "does", "hits", "alone", report.currency, *(["precision"] if labelled else []))
    for rule in side.rules:
        does = _does(rule)
        row = [
            rule.rule,
            does,
            formats.count(rule.hits),
            formats.count(rule.hits_alone),
            formats.money(rule.amount_minor),
        ]
        table.add_row(*row, *([formats.share(rule.precision)] if labelled else []), style="dim" if rule.shadow else "")
    return table


def _does(rule: RuleReport) -> str:
    words = ["shadow"] * rule.shadow + ["final"] * rule.final + [rule.action.value]
    return " ".join(words)


def _labels(report: BacktestReport, labels: Labels) -> Group:
    unlabelled = f"{labels.unlabelled:,} without a label"
    as_good = labels.unlabelled_as == "genuine"
    told = Text(
        f"By their labels {labels.fraud:,} fraud, {labels.genuine:,} good{f', taken for good {unlabelled}' * as_good}. "
        f"Left out: {f'{unlabelled}; ' * (not as_good)}{labels.too_young:,} of the last {labels.maturity_d:g} days, "
        f"after {_formats(report).day(labels.mature_until_ms)} ({labels.too_young_labelled:,} of them labelled)"
    )
    sides = [("old", labels.old), ("new", labels.new)]
    columns = [
        (f"{name} {what}", getattr(detection, what))
        for what in ("blocked", "stopped")
        for name, detection in sides
        if detection is not None
    ]
    table = _table("", *(name for name, _ in columns))
    for name, cells in _caught_rows(report, [caught for _, caught in columns]):
        table.add_row(name, *cells)
    return Group(told, table)


def _caught_rows(report: BacktestReport, caught: list[Caught]) -> Iterator[tuple[str, list[str]]]:
    formats = _formats(report)
    yield "fraud caught", [formats.count(each.tp) for each in caught]
    yield "fraud missed", [formats.count(each.fn) for each in caught]
    yield "good ones hit", [formats.count(each.fp) for each in caught]
    yield "precision", [formats.share(each.precision) for each in caught]
    yield "recall", [formats.share(each.recall) for each in caught]
    yield "good per fraud", [formats.ratio(each.false_positives_per_fraud) for each in caught]
    yield f"saved {report.currency}", [formats.money(each.amount_saved_minor) for each in caught]
    yield "wrongly stopped", [formats.money(each.amount_wrongly_stopped_minor) for each in caught]
    yield "missed", [formats.money(each.amount_missed_minor) for each in caught]


def _flips(report: BacktestReport, flips: list[Flip], purchases: int) -> Iterator[Text]:
    formats = _formats(report)
    yield Text(f"{purchases:,} are decided otherwise, the largest:", "bold")
    for flip in flips:
        # The year is said above.
        at = formats.minute(flip.event_time).partition("-")[2]
        line = Text(f"{at}  {shortened(flip.account_id):<9} {format_minor(flip.amount, flip.currency):>16}  ")
        line.append(flip.old.value, STYLES[flip.old]).append(" → ").append(flip.new.value, STYLES[flip.new])
        line.append(f"  {flip.verdict}" if flip.verdict else "", "bold")
        line.append(f"\n    {flip.transaction_id}")
        old_currency = report.old.currency if report.old is not None else None
        for name, currency, reasons in (
            ("old", old_currency, flip.old_reasons),
            ("new", report.new.currency, flip.new_reasons),
        ):
            line.append("".join(f"\n    {name}: {_words(why, currency)}" for why in reasons), "dim")
        yield line


def _formats(report: BacktestReport) -> Formats:
    return Formats(report.currency, report.time_zone, _NONE)


def _words(why: Why, currency: str | None) -> str:
    reason = Reason(why.rule, why.code, why.action, why.feature, why.observed, why.threshold)
    return reason_text(reason, currency)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    return table
