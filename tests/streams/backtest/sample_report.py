"""A report as a backtest gives it, its figures added up from purchases that are drawn one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from models.decision import Action
from streams.backtest.report import (
    Acted,
    Acts,
    BacktestReport,
    Caught,
    Cell,
    Detection,
    Flip,
    Flips,
    Labels,
    Recorded,
    RuleReport,
    Side,
    Stamp,
    Week,
    WeekSide,
    Why,
)
from tests.streams.backtest.sample_purchases import BEGIN, DAY_MS, NEW_RULES, OLD_RULES, WEEKS, ZONE, Bought, Rule, draw

MATURITY_D = 28


def action_of(matched: Sequence[Rule]) -> Action:
    found = {rule.action for rule in matched if not rule.shadow}
    return Action.BLOCK if Action.BLOCK in found else Action.FLAG if Action.FLAG in found else Action.APPROVE


def quotient(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def total(bought: Sequence[Bought]) -> int:
    return sum(each.amount for each in bought)


Matched = Callable[[Bought], tuple[Rule, ...]]
SIDES: dict[str, Matched] = {"old": lambda each: each.old, "new": lambda each: each.new}


def acts(bought: Sequence[Bought], matched: Matched) -> Acts:
    def acted(action: Action) -> Acted:
        some = [each for each in bought if action_of(matched(each)) == action]
        return Acted(
            purchases=len(some),
            amount_minor=total(some),
            share=quotient(len(some), len(bought)),
            amount_share=quotient(total(some), total(bought)),
        )

    return Acts(approve=acted(Action.APPROVE), flag=acted(Action.FLAG), block=acted(Action.BLOCK))


def caught(judged: Sequence[Bought], stops: Callable[[Bought], bool]) -> Caught:
    tp = [each for each in judged if each.verdict == "fraud" and stops(each)]
    fp = [each for each in judged if each.verdict == "genuine" and stops(each)]
    fn = [each for each in judged if each.verdict == "fraud" and not stops(each)]
    return Caught(
        tp=len(tp),
        fp=len(fp),
        fn=len(fn),
        tn=len(judged) - len(tp) - len(fp) - len(fn),
        precision=quotient(len(tp), len(tp) + len(fp)),
        recall=quotient(len(tp), len(tp) + len(fn)),
        false_positives_per_fraud=quotient(len(fp), len(tp)),
        amount_saved_minor=total(tp),
        amount_wrongly_stopped_minor=total(fp),
        amount_missed_minor=total(fn),
    )


def detection(judged: Sequence[Bought], matched: Matched) -> Detection:
    return Detection(
        blocked=caught(judged, lambda each: action_of(matched(each)) == Action.BLOCK),
        stopped=caught(judged, lambda each: action_of(matched(each)) != Action.APPROVE),
    )


class Sample:
    """The drawn purchases, and the parts of the report that are made of them."""

    def __init__(self, purchases: int, *, labels: bool, hostile_id: str | None) -> None:
        self.bought = draw(purchases)
        self.labels = labels
        self.hostile_id = hostile_id
        self.mature_until_ms = self.bought[-1].time_ms - MATURITY_D * DAY_MS

    def judged(self, bought: Sequence[Bought]) -> list[Bought]:
        return [each for each in bought if each.verdict is not None and each.time_ms <= self.mature_until_ms]

    def report(self, *, against: bool, recorded: Recorded, notes: list[str]) -> BacktestReport:
        return BacktestReport(
            recording=recorded,
            currency="CNY",
            time_zone=ZONE.key,
            compared=len(self.bought),
            amount_minor=total(self.bought),
            new=self.side("new", NEW_RULES, "rules/checkout.yaml"),
            old=self.side("old", OLD_RULES, None) if against else None,
            matrix=self.matrix() if against else [],
            flips=self.flips() if against else None,
            weeks=self.weeks(against=against),
            labels=self.label_part(against=against) if self.labels else None,
            notes=notes,
            elapsed_s=3.274,
        )

    def side(self, name: str, rules: Sequence[Rule], file: str | None) -> Side:
        rows = name == "old"
        return Side(
            ruleset="checkout",
            version="5b1f6d0c92ae" if rows else "c07e44d19b3f",
            file=file,
            currency="CNY",
            path="rows" if rows else "columnar",
            rows_because="bust-out asks for the outcome approved" if rows else None,
            purchases_per_s=11_482.4 if rows else 402_118.9,
            no_rate=3 if rows else 0,
            actions=acts(self.bought, SIDES[name]),
            rules=[self.rule(rule, SIDES[name]) for rule in rules],
        )

    def rule(self, rule: Rule, matched: Matched) -> RuleReport:
        hits = [each for each in self.bought if rule in matched(each)]
        alone = [each for each in hits if not [r for r in matched(each) if r != rule and not r.shadow]]
        judged = self.judged(hits)
        frauds = [each for each in judged if each.verdict == "fraud"]
        return RuleReport(
            rule=rule.name,
            code=rule.code,
            action=rule.action,
            final=rule.final,
            shadow=rule.shadow,
            hits=len(hits),
            hits_alone=len(alone),
            amount_minor=total(hits),
            labelled_hits=len(judged) if self.labels else None,
            fraud_hits=len(frauds) if self.labels else None,
            precision=quotient(len(frauds), len(judged)) if self.labels else None,
        )

    def matrix(self) -> list[Cell]:
        return [self.cell(old, new) for old in Action for new in Action]

    def cell(self, old: Action, new: Action) -> Cell:
        some = [each for each in self.bought if (action_of(each.old), action_of(each.new)) == (old, new)]
        verdicts = [each.verdict for each in self.judged(some)]
        return Cell(
            old=old,
            new=new,
            purchases=len(some),
            amount_minor=total(some),
            fraud=verdicts.count("fraud") if self.labels else None,
            genuine=verdicts.count("genuine") if self.labels else None,
        )

    def flips(self, shown: int = 25) -> Flips:
        flipped = [each for each in self.bought if action_of(each.old) != action_of(each.new)]
        largest = sorted(flipped, key=lambda each: -each.amount)[:shown]
        return Flips(
            purchases=len(flipped), amount_minor=total(flipped), examples=[self.flip(each) for each in largest]
        )

    def flip(self, each: Bought) -> Flip:
        features = {rule.feature: rule.observed for rule in (*each.old, *each.new) if rule.feature and not rule.shadow}
        dollars = each.number % 5 == 0
        return Flip(
            transaction_id=self.hostile_id or f"t-{each.number:08d}",
            account_id=f"a-{each.number * 7919 % 100_003:06d}",
            event_time=each.time_ms,
            amount=round(each.amount / 7.1) if dollars else each.amount,
            currency="USD" if dollars else "CNY",
            amount_minor=each.amount,
            old=action_of(each.old),
            new=action_of(each.new),
            old_reasons=whys(each.old),
            new_reasons=whys(each.new),
            stamps=[
                Stamp(feature=feature, old=None if "fraud" in feature else observed, new=observed)
                for feature, observed in features.items()
                if isinstance(observed, int)
            ],
            verdict=each.verdict if self.labels else None,
        )

    def weeks(self, *, against: bool) -> list[Week]:
        weeks: list[Week] = []
        for number in range(WEEKS):
            begins = BEGIN + timedelta(weeks=number)
            begins_ms = int(begins.timestamp() * 1000)
            some = [each for each in self.bought if 0 <= each.time_ms - begins_ms < 7 * DAY_MS]
            weeks.append(
                Week(
                    begins=begins.date().isoformat(),
                    begins_ms=begins_ms,
                    purchases=len(some),
                    amount_minor=total(some),
                    new=self.week_side(some, SIDES["new"]),
                    old=self.week_side(some, SIDES["old"]) if against else None,
                )
            )
        return weeks

    def week_side(self, some: Sequence[Bought], matched: Matched) -> WeekSide:
        done = [action_of(matched(each)) for each in some]
        return WeekSide(
            approve=done.count(Action.APPROVE),
            flag=done.count(Action.FLAG),
            block=done.count(Action.BLOCK),
            caught=detection(self.judged(some), matched) if self.labels else None,
        )

    def label_part(self, *, against: bool) -> Labels:
        judged = self.judged(self.bought)
        young = [each for each in self.bought if each.time_ms > self.mature_until_ms]
        frauds = sum(each.verdict == "fraud" for each in judged)
        return Labels(
            maturity_d=MATURITY_D,
            mature_until_ms=self.mature_until_ms,
            unlabelled_as="left-out",
            labelled=len(judged),
            fraud=frauds,
            genuine=len(judged) - frauds,
            unlabelled=len(self.bought) - len(young) - len(judged),
            too_young=len(young),
            too_young_labelled=sum(each.verdict is not None for each in young),
            fraud_without_purchase=1_207,
            new=detection(judged, SIDES["new"]),
            old=detection(judged, SIDES["old"]) if against else None,
        )


def whys(matched: Sequence[Rule]) -> list[Why]:
    return [
        Why(
            rule=rule.name,
            code=rule.code,
            action=rule.action,
            feature=rule.feature,
            observed=rule.observed,
            threshold=rule.threshold,
        )
        for rule in matched
        if not rule.shadow
    ]


def sample_report(
    purchases: int = 20_000, *, against: bool = True, labels: bool = True, hostile_id: str | None = None
) -> BacktestReport:
    """A report of `purchases` over 13 weeks, with an old ruleset and labels unless they are asked away."""
    sample = Sample(purchases, labels=labels, hostile_id=hostile_id)
    recorded = Recorded(
        name="spring-2026",
        purchases=purchases + 3,
        repeats=1_284,
        conflicts=2,
        malformed=17,
        future=0,
        oversized=0,
        bad_account_records=4,
        bad_labels=14,
        labels=sum(each.verdict is not None for each in sample.bought) if labels else 0,
        first_ms=sample.bought[0].time_ms,
        last_ms=sample.bought[-1].time_ms,
        weeks=WEEKS,
    )
    notes = [
        "The recording begins in the middle of a life: windows of up to 30 days fill during its first 30 days.",
        "Credit limits are those of the recording; under other rules an account might have been given another one.",
    ]
    return sample.report(against=against, recorded=recorded, notes=notes)
