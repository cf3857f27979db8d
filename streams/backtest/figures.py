"""From what was counted to the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.decision import Action
from rules.calendar import period_clock
from rules.columns.evaluate import ACTIONS
from rules.plan import Period
from streams.backtest.contender import Party
from streams.backtest.detection import detection_of, good_of
from streams.backtest.flips import FlipSample
from streams.backtest.judged import CODE_OF
from streams.backtest.maturity import Known
from streams.backtest.notes import notes_of
from streams.backtest.report import (
    Acted,
    Acts,
    BacktestReport,
    Cell,
    Flips,
    Labels,
    Recorded,
    RuleReport,
    Side,
    Unlabelled,
    Week,
    WeekSide,
)
from streams.backtest.rule_tallies import RuleTally
from streams.backtest.tallies import Tally, WeekTallies
from streams.timeline.timeline import TimelineCounts

_DAY_MS: Final = 86_400_000
_WEEK_MS: Final = 7 * _DAY_MS
_EFFECTS: Final = {"allow": Action.APPROVE, "flag": Action.FLAG, "block": Action.BLOCK}


@dataclass(frozen=True)
class Counted:
    """All that a pass has counted, and what it was asked."""

    recording: str
    counts: TimelineCounts
    bad_labels: int
    weeks: WeekTallies
    flips: FlipSample
    maturity_ms: int
    mature_until_ms: int
    unlabelled_as: Unlabelled
    fraud_without_purchase: int | None
    elapsed_s: float


def report_of(counted: Counted, new: Party, old: Party | None) -> BacktestReport:
    """The report."""
    total, has_labels = counted.weeks.total(), counted.counts.labels > 0
    plan = new.ruleset.plan
    labels = _labels(counted, total, has_old=old is not None) if has_labels else None
    recorded = recorded_of(counted.recording, counted.counts, counted.bad_labels, plan.time_zone)
    return BacktestReport(
        recording=recorded,
        currency=plan.currency,
        time_zone=plan.time_zone,
        compared=total.count(),
        amount_minor=total.amount(),
        new=_side(new, total, is_new=True, has_labels=has_labels),
        old=_side(old, total, is_new=False, has_labels=has_labels) if old is not None else None,
        matrix=_matrix(counted, total, has_labels=has_labels) if old is not None else [],
        flips=_flips(counted, total) if old is not None else None,
        weeks=_weeks(counted, plan.time_zone, has_labels=has_labels, has_old=old is not None),
        labels=labels,
        notes=notes_of(recorded, new, old, labels),
        elapsed_s=round(counted.elapsed_s, 3),
    )


def recorded_of(name: str, counts: TimelineCounts, bad_labels: int, time_zone: str) -> Recorded:
    """What a pass met; weeks are those of a time zone."""
    first_ms, last_ms = (counts.first_ms, counts.last_ms) if counts.purchases else (None, None)
    weeks = 0
    if first_ms is not None and last_ms is not None:
        clock = period_clock(time_zone)
        begins = [clock.bounds_ms(Period.THIS_WEEK, at_ms)[0] for at_ms in (first_ms, last_ms)]
        # Clocks may have changed in between.
        weeks = round((begins[1] - begins[0]) / _WEEK_MS) + 1
    return Recorded(
        name=name,
        purchases=counts.purchases,
        repeats=counts.repeats,
        conflicts=counts.conflicts,
        malformed=counts.malformed,
        future=counts.future,
        oversized=counts.oversized,
        bad_account_records=counts.bad_account_records,
        bad_labels=bad_labels,
        labels=counts.labels,
        first_ms=first_ms,
        last_ms=last_ms,
        weeks=weeks,
    )


def _side(party: Party, total: Tally, *, is_new: bool, has_labels: bool) -> Side:
    rate = party.purchases_per_s
    rules = zip(party.ruleset.document.rules, party.rules.tallies, strict=True)
    return Side(
        ruleset=party.ruleset.id,
        version=party.ruleset.version,
        file=party.file,
        currency=party.ruleset.plan.currency,
        path=party.path.name,
        rows_because=party.rows_because,
        purchases_per_s=round(rate, 1) if rate is not None else None,
        no_rate=party.no_rate,
        actions=_acts(total, is_new=is_new),
        rules=[
            RuleReport(
                rule=rule.id,
                code=rule.code,
                action=_EFFECTS[rule.then],
                final=rule.final,
                shadow=rule.mode == "shadow",
                hits=tally.hits,
                hits_alone=tally.hits_alone,
                amount_minor=tally.amount_minor,
                labelled_hits=tally.labelled_hits if has_labels else None,
                fraud_hits=tally.fraud_hits if has_labels else None,
                precision=_precision(tally) if has_labels else None,
            )
            for rule, tally in rules
        ],
    )


def _precision(tally: RuleTally) -> float | None:
    return _quotient(tally.fraud_hits, tally.labelled_hits)


def _acts(total: Tally, *, is_new: bool) -> Acts:
    return Acts(
        approve=_acted(total, Action.APPROVE, is_new=is_new),
        flag=_acted(total, Action.FLAG, is_new=is_new),
        block=_acted(total, Action.BLOCK, is_new=is_new),
    )


def _acted(total: Tally, action: Action, *, is_new: bool) -> Acted:
    old, new = (None, CODE_OF[action]) if is_new else (CODE_OF[action], None)
    purchases, amount_minor = total.count(old, new), total.amount(old, new)
    return Acted(
        purchases=purchases,
        amount_minor=amount_minor,
        share=_quotient(purchases, total.count()),
        amount_share=_quotient(amount_minor, total.amount()),
    )


def _quotient(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _matrix(counted: Counted, total: Tally, *, has_labels: bool) -> list[Cell]:
    good = good_of(counted.unlabelled_as)
    return [
        Cell(
            old=ACTIONS[old],
            new=ACTIONS[new],
            purchases=total.count(old, new),
            amount_minor=total.amount(old, new),
            fraud=total.count(old, new, Known.FRAUD) if has_labels else None,
            genuine=total.count(old, new, *good) if has_labels else None,
        )
        for old in range(len(ACTIONS))
        for new in range(len(ACTIONS))
    ]


def _flips(counted: Counted, total: Tally) -> Flips:
    same = range(len(ACTIONS))
    return Flips(
        purchases=total.count() - sum(total.count(code, code) for code in same),
        amount_minor=total.amount() - sum(total.amount(code, code) for code in same),
        examples=counted.flips.examples(),
    )


def _weeks(counted: Counted, time_zone: str, *, has_labels: bool, has_old: bool) -> list[Week]:
    clock = period_clock(time_zone)
    unlabelled_as = counted.unlabelled_as if has_labels else None
    return [
        Week(
            begins=clock.local(begins_ms).date().isoformat(),
            begins_ms=begins_ms,
            purchases=tally.count(),
            amount_minor=tally.amount(),
            new=_week_side(tally, unlabelled_as, is_new=True),
            old=_week_side(tally, unlabelled_as, is_new=False) if has_old else None,
        )
        for begins_ms, tally in sorted(counted.weeks.weeks.items())
    ]


def _week_side(tally: Tally, unlabelled_as: Unlabelled | None, *, is_new: bool) -> WeekSide:
    acts = _acts(tally, is_new=is_new)
    return WeekSide(
        approve=acts.approve.purchases,
        flag=acts.flag.purchases,
        block=acts.block.purchases,
        caught=detection_of(tally, unlabelled_as, is_new=is_new) if unlabelled_as is not None else None,
    )


def _labels(counted: Counted, total: Tally, *, has_old: bool) -> Labels:
    fraud, genuine = total.count(None, None, Known.FRAUD), total.count(None, None, Known.GENUINE)
    young, unlabelled_as = total.count(None, None, Known.TOO_YOUNG_LABELLED), counted.unlabelled_as
    return Labels(
        maturity_d=counted.maturity_ms / _DAY_MS,
        mature_until_ms=counted.mature_until_ms,
        unlabelled_as=unlabelled_as,
        labelled=fraud + genuine,
        fraud=fraud,
        genuine=genuine,
        unlabelled=total.count(None, None, Known.UNLABELLED),
        too_young=young + total.count(None, None, Known.TOO_YOUNG),
        too_young_labelled=young,
        fraud_without_purchase=counted.fraud_without_purchase,
        new=detection_of(total, unlabelled_as, is_new=True),
        old=detection_of(total, unlabelled_as, is_new=False) if has_old else None,
    )
