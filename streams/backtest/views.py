"""A report as it is shown: old beside new, rule by rule and week by week."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from models.decision import Action
from streams.backtest.report import Acted, BacktestReport, Caught, Cell, RuleReport, Side, Week, WeekSide

SideName = Literal["old", "new"]


class RuleRows(NamedTuple):
    """A rule by its name, under each of the rulesets that have it."""

    rule: str
    sides: Mapping[SideName, RuleReport]


def sides(report: BacktestReport) -> list[tuple[SideName, Side]]:
    """The rulesets by name, the old one first where there is one."""
    new: tuple[SideName, Side] = ("new", report.new)
    return [new] if report.old is None else [("old", report.old), new]


def week_sides(week: Week) -> list[tuple[SideName, WeekSide]]:
    """What each ruleset did in a week, the old one first where there is one."""
    new: tuple[SideName, WeekSide] = ("new", week.new)
    return [new] if week.old is None else [("old", week.old), new]


def acted(side: Side, action: Action) -> Acted:
    """What a ruleset did by one action."""
    by_action = {
        Action.APPROVE: side.actions.approve,
        Action.FLAG: side.actions.flag,
        Action.BLOCK: side.actions.block,
    }
    return by_action[action]


def rule_rows(report: BacktestReport) -> list[RuleRows]:
    """The rules in the order of the new rule file, then those that the old ruleset alone has."""
    found: dict[str, dict[SideName, RuleReport]] = {rule.rule: {} for rule in report.new.rules}
    for name, side in sides(report):
        for rule in side.rules:
            found.setdefault(rule.rule, {})[name] = rule
    return [RuleRows(rule, by_side) for rule, by_side in found.items()]


def unjudged(cell: Cell) -> int:
    """Purchases of a cell of the matrix that have no label that counts."""
    return cell.purchases - (cell.fraud or 0) - (cell.genuine or 0)


def judged_weeks(report: BacktestReport) -> list[Week]:
    """The weeks that have a label that counts: of the others nothing is known about fraud."""
    return [week for week in report.weeks if week.new.caught is not None and _judged(week.new.caught.stopped)]


def _judged(caught: Caught) -> bool:
    return caught.tp + caught.fp + caught.fn + caught.tn > 0
