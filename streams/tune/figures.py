"""From what was counted to the report of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from models.decision import Action
from models.parameter import kind_of
from rules.language.compile import CompiledRuleset
from streams.backtest.detection import detection_of
from streams.backtest.figures import recorded_of
from streams.backtest.judged import CODE_OF
from streams.backtest.maturity import Known
from streams.backtest.report import Unlabelled
from streams.backtest.run import DAY_MS
from streams.backtest.tallies import Tally
from streams.timeline.timeline import TimelineCounts
from streams.tune.budget import Choice, choose
from streams.tune.candidates import Candidates, Swept, Values, told
from streams.tune.front import Standing, pareto_front
from streams.tune.notes import notes_of
from streams.tune.options import RuleText, TuneOptions
from streams.tune.patch import patch_of
from streams.tune.report import (
    Budget,
    CandidateReport,
    Change,
    Curve,
    Figures,
    Grid,
    Holdout,
    Labels,
    Point,
    TuneReport,
)
from streams.tune.survey import Survey
from streams.tune.sweep import Outcome

_FIRST: Final = 0
_LAST: Final = 1


@dataclass(frozen=True)
class Ran:
    """What a sweep has counted, and what it was asked."""

    recording: str
    counts: TimelineCounts
    bad_labels: int
    rules: RuleText
    ruleset: CompiledRuleset
    rows_because: str | None
    candidates: Candidates
    outcome: Outcome
    survey: Survey
    mature_until_ms: int
    options: TuneOptions
    budget: Budget | None
    elapsed_s: float


def report_of(ran: Ran) -> TuneReport:
    """The report."""
    ruleset, options, candidates = ran.ruleset, ran.options, ran.candidates
    reports = [_candidate(ran, number) for number in range(len(candidates))]
    choice = choose(reports, ran.budget) if ran.budget is not None else Choice(None, None)
    front = pareto_front(
        Standing(number, each.figures.stopped.tp, each.figures.stopped.fp, len(each.changes))
        for number, each in enumerate(reports)
    )
    return TuneReport(
        recording=recorded_of(ran.recording, ran.counts, ran.bad_labels, ruleset.plan.time_zone),
        ruleset=ruleset.id,
        version=ruleset.version,
        file=ran.rules.file,
        currency=ruleset.plan.currency,
        time_zone=ruleset.plan.time_zone,
        path="columnar" if ran.rows_because is None else "rows",
        rows_because=ran.rows_because,
        labels=_labels(ran),
        holdout=_holdout(ran),
        candidates=reports,
        curves=[_curve(candidates, each) for each in candidates.swept],
        grids=[_grid(candidates, one, other) for one, other in combinations(candidates.swept, 2)],
        front=front,
        budget=ran.budget,
        best=choice.best,
        nearest=choice.nearest,
        patch=_patch(ran, choice.best),
        notes=notes_of(ruleset, ran.survey, [each.name for each in candidates.swept], options),
        elapsed_s=round(ran.elapsed_s, 3),
    )


def figures_of(tally: Tally, unlabelled_as: Unlabelled) -> Figures:
    """What a ruleset did, which a tally counts as the new one."""
    purchases, caught = tally.count(), detection_of(tally, unlabelled_as, is_new=True)
    flagged, blocked = (tally.count(None, CODE_OF[action]) for action in (Action.FLAG, Action.BLOCK))
    return Figures(
        purchases=purchases,
        amount_minor=tally.amount(),
        flagged=flagged,
        blocked=blocked,
        flag_share=flagged / purchases if purchases else None,
        block_share=blocked / purchases if purchases else None,
        stopped=caught.stopped,
        only_blocked=caught.blocked,
        cost_minor=caught.stopped.amount_wrongly_stopped_minor,
    )


def _candidate(ran: Ran, number: int) -> CandidateReport:
    unlabelled_as, counts = ran.options.unlabelled_as, ran.outcome.counts
    return CandidateReport(
        version=ran.outcome.versions[number],
        changes=_told_changes(ran.candidates.changes[number], ran.candidates),
        figures=figures_of(counts.tally(number, _FIRST), unlabelled_as),
        held_out=figures_of(counts.tally(number, _LAST), unlabelled_as) if ran.survey.split_ms is not None else None,
    )


def _told_changes(changes: Values, candidates: Candidates) -> list[Change]:
    present: Mapping[str, Swept] = {each.name: each for each in candidates.swept}
    return [
        Change(param=name, present=told(present[name].present), value=told(value)) for name, value in changes.items()
    ]


def _curve(candidates: Candidates, swept: Swept) -> Curve:
    points = [Point(value=told(value), candidate=candidates.number({swept.name: value})) for value in swept.values]
    return Curve(
        param=swept.name,
        description=swept.description,
        kind=kind_of(swept.present),
        present=told(swept.present),
        points=points,
    )


def _grid(candidates: Candidates, one: Swept, other: Swept) -> Grid:
    return Grid(
        first=one.name,
        second=other.name,
        first_values=[told(value) for value in one.values],
        second_values=[told(value) for value in other.values],
        candidates=[
            [candidates.number({one.name: first, other.name: second}) for second in other.values]
            for first in one.values
        ],
    )


def _labels(ran: Ran) -> Labels:
    survey, options = ran.survey, ran.options
    young = survey.count(Known.TOO_YOUNG_LABELLED)
    return Labels(
        maturity_d=options.maturity_ms / DAY_MS,
        mature_until_ms=ran.mature_until_ms,
        unlabelled_as=options.unlabelled_as,
        fraud=survey.count(Known.FRAUD),
        genuine=survey.count(Known.GENUINE),
        unlabelled=survey.count(Known.UNLABELLED),
        too_young=young + survey.count(Known.TOO_YOUNG),
        too_young_labelled=young,
    )


def _holdout(ran: Ran) -> Holdout | None:
    survey = ran.survey
    if survey.split_ms is None:
        return None
    return Holdout(share=ran.options.holdout, split_ms=survey.split_ms, fraud=survey.known[_LAST][Known.FRAUD])


def _patch(ran: Ran, best: int | None) -> str | None:
    if best is None or not ran.candidates.changes[best]:
        return None
    return patch_of(ran.rules.text, ran.candidates.changes[best], ran.rules.name_in_patch)
