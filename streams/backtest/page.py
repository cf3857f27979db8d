"""The report of a backtest as one HTML page that needs nothing beside itself: no network, no other file."""

from __future__ import annotations

from typing import Final

from models.decision import Action, Reason
from models.money import format_minor
from streams.backtest.headlines import headline_tiles, warnings
from streams.backtest.report import BacktestReport, Flip, Stamp, Why
from streams.backtest.report_charts import report_charts
from streams.backtest.views import acted, judged_weeks, rule_rows, sides, unjudged, week_sides
from streams.formats import NONE, Formats
from streams.pages.shell import render
from streams.wording import reason_words

# How each figure about fraud is called, the field of `Caught` that it is, and what it means.
_CAUGHT: Final = (
    ("Fraud caught", "tp", "count", "fraud that was stopped (true positives)"),
    ("Good purchases stopped", "fp", "count", "genuine purchases that were stopped (false positives)"),
    ("Fraud missed", "fn", "count", "fraud that was let through (false negatives)"),
    ("Good purchases let through", "tn", "count", "genuine purchases that were let through (true negatives)"),
    ("Precision", "precision", "share", "of what was stopped, how much was fraud"),
    ("Recall", "recall", "share", "of the fraud, how much was stopped"),
    (
        "Good stopped per fraud caught",
        "false_positives_per_fraud",
        "ratio",
        "good purchases that a fraud caught costs",
    ),
    ("Amount saved", "amount_saved_minor", "money", "amount of the fraud caught"),
    ("Amount wrongly stopped", "amount_wrongly_stopped_minor", "money", "amount of the good purchases stopped"),
    ("Amount missed", "amount_missed_minor", "money", "amount of the fraud missed"),
)


def render_page(report: BacktestReport) -> str:
    """The page, as text to be written in UTF-8.

    It holds the whole report as JSON in the element with the id `report`, every figure in tables, and charts of them
    that are drawn where scripts run.
    """
    formats = Formats(report.currency, report.time_zone)
    charts = report_charts(report, formats)

    def why_words(why: Why, currency: str) -> str:
        reason = Reason(why.rule, why.code, why.action, why.feature, why.observed, why.threshold)
        return reason_words(reason, currency)

    def stamp_words(stamp: Stamp, value: int | None, currency: str) -> str:
        measured = Reason("", "", Action.APPROVE, stamp.feature, value)
        return reason_words(measured, currency) or NONE

    def paid(flip: Flip) -> str:
        return format_minor(flip.amount, flip.currency)

    return render(
        "backtest.html",
        formats=formats,
        data=report,
        charts=charts,
        report=report,
        sides=sides(report),
        actions=tuple(Action),
        acted=acted,
        tiles=headline_tiles(report, formats),
        warnings=warnings(report, formats),
        rules=rule_rows(report),
        unjudged=unjudged,
        caught=_CAUGHT,
        judged_weeks=judged_weeks(report),
        week_sides=week_sides,
        paid=paid,
        why_words=why_words,
        stamp_words=stamp_words,
    )
