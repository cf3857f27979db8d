"""A backtest's report for a terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.decision import Reason
from models.money import format_minor
from streams.backtest.judged import ACTIONS
from streams.backtest.report import BacktestReport, Caught, Flip, Labels, RuleReport, Side, Why
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
    recorded, zone = report.recording, ZoneInfo(report.time_zone)
    lines = [Text.assemble(("new  ", "bold"), _told(report.new))]
    if report.old is not None:
        lines.append(Text.assemble(("old  ", "bold"), _told(report.old)))
    days = [_day(at_ms, zone) for at_ms in (recorded.first_ms, recorded.last_ms) if at_ms is not None]
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


def _day(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%Y-%m-%d")


def _actions(report: BacktestReport) -> Table:
    table = _table("", "old", "share", "new", "share", f"new {report.currency}", "of amount")
    for action in ACTIONS:
        new = getattr(report.new.actions, action.value)
        old = getattr(report.old.actions, action.value) if report.old is not None else None
        table.add_row(
            Text(action.value, STYLES[action]),
            _count(old.purchases) if old is not None else _NONE,
            _share(old.share) if old is not None else _NONE,
            _count(new.purchases),
            _share(new.share),
            _money(new.amount_minor, report),
            _share(new.amount_share),
        )
    return table


def _matrix(report: BacktestReport) -> Table:
    table = _table("old \\ new", *(action.value for action in ACTIONS))
    cells = {(cell.old, cell.new): cell.purchases for cell in report.matrix}
    for old in ACTIONS:
        counts = [Text(_count(cells[old, new]), "" if old is new else "bold") for new in ACTIONS]
        table.add_row(Text(old.value, STYLES[old]), *counts)
    return table


def _rules(side: Side, report: BacktestReport, title: str) -> Table:
    labelled = report.labels is not None
    table = _table(title, "does", "hits", "alone", report.currency, *(["precision"] if labelled else []))
    for rule in side.rules:
        does = _does(rule)
        row = [rule.rule, does, _count(rule.hits), _count(rule.hits_alone), _money(rule.amount_minor, report)]
        table.add_row(*row, *([_share(rule.precision)] if labelled else []), style="dim" if rule.shadow else "")
    return table


def _does(rule: RuleReport) -> str:
    words = ["shadow"] * rule.shadow + ["final"] * rule.final + [rule.action.value]
    return " ".join(words)


def _labels(report: BacktestReport, labels: Labels) -> Group:
    zone = ZoneInfo(report.time_zone)
    unlabelled = f"{labels.unlabelled:,} without a label"
    as_good = labels.unlabelled_as == "genuine"
    told = Text(
        f"By their labels {labels.fraud:,} fraud, {labels.genuine:,} good{f', taken for good {unlabelled}' * as_good}. "
        f"Left out: {f'{unlabelled}; ' * (not as_good)}{labels.too_young:,} of the last {labels.maturity_d:g} days, "
        f"after {_day(labels.mature_until_ms, zone)} ({labels.too_young_labelled:,} of them labelled)"
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
    yield "fraud caught", [_count(each.tp) for each in caught]
    yield "fraud missed", [_count(each.fn) for each in caught]
    yield "good ones hit", [_count(each.fp) for each in caught]
    yield "precision", [_share(each.precision) for each in caught]
    yield "recall", [_share(each.recall) for each in caught]
    yield "good per fraud", [_number(each.false_positives_per_fraud) for each in caught]
    yield f"saved {report.currency}", [_money(each.amount_saved_minor, report) for each in caught]
    yield "wrongly stopped", [_money(each.amount_wrongly_stopped_minor, report) for each in caught]
    yield "missed", [_money(each.amount_missed_minor, report) for each in caught]


def _flips(report: BacktestReport, flips: list[Flip], purchases: int) -> Iterator[Text]:
    zone = ZoneInfo(report.time_zone)
    yield Text(f"{purchases:,} are decided otherwise, the largest:", "bold")
    for flip in flips:
        at = datetime.fromtimestamp(flip.event_time / 1000, zone).strftime("%m-%d %H:%M")
        line = Text(f"{at}  {shortened(flip.account_id):<9} {format_minor(flip.amount, flip.currency):>16}  ")
        line.append(flip.old.value, STYLES[flip.old]).append(" → ").append(flip.new.value, STYLES[flip.new])
        line.append(f"  {flip.verdict}" if flip.verdict else "", "bold")
        old_currency = report.old.currency if report.old is not None else None
        for name, currency, reasons in (
            ("old", old_currency, flip.old_reasons),
            ("new", report.new.currency, flip.new_reasons),
        ):
            line.append("".join(f"\n    {name}: {_words(why, currency)}" for why in reasons), "dim")
        yield line


def _words(why: Why, currency: str | None) -> str:
    reason = Reason(why.rule, why.code, why.action, why.feature, why.observed, why.threshold)
    return reason_text(reason, currency)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    return table


def _count(number: int) -> str:
    return f"{number:,}"


def _number(number: float | None) -> str:
    return _NONE if number is None else f"{number:,.2f}"


def _share(share: float | None) -> str:
    return _NONE if share is None else f"{share:.2%}"


def _money(amount_minor: int, report: BacktestReport) -> str:
    return format_minor(amount_minor, report.currency).removesuffix(f" {report.currency}")
