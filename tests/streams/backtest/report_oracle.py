"""A slow oracle of a backtest's figures: decisions from the row path's line, and plain loops over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from models.decision import Decision
from models.money import convert_minor
from models.purchase import Purchase
from rules.language.compile import CompiledRuleset
from rules.line import Line

ACTIONS = ("approve", "flag", "block")


@dataclass
class Seen:
    """One purchase: its amount in the new ruleset's currency, its decisions, and its label."""

    purchase: Purchase
    amount: int
    old: Decision
    new: Decision
    verdict: str | None
    young: bool
    unlabelled_genuine: bool

    @property
    def truth(self) -> str | None:
        """Fraud, genuine, or None where it does not count."""
        if self.young:
            return None
        return self.verdict or ("genuine" if self.unlabelled_genuine else None)


def seen_of(
    purchases: Sequence[Purchase],
    verdicts: dict[str, str],
    old: CompiledRuleset,
    new: CompiledRuleset,
    maturity_ms: int,
    unlabelled_genuine: bool,
    partition_of: Callable[[bytes], int],
) -> list[Seen]:
    """The purchases, in canonical order, that both rulesets decide on."""
    old_line, new_line = Line(old, partition_of), Line(new, partition_of)
    last_ms = max((purchase.event_time for purchase in purchases), default=0)
    seen: list[Seen] = []
    for purchase in purchases:
        before, after = old_line.take(purchase), new_line.take(purchase)
        if before is None or after is None:
            continue
        plan = new.plan
        amount = convert_minor(purchase.amount, purchase.currency, plan.currency, plan.rates)
        verdict = verdicts.get(purchase.transaction_id)
        verdict = "fraud" if verdict == "chargeback" else verdict
        young = purchase.event_time > last_ms - maturity_ms
        seen.append(Seen(purchase, amount, before, after, verdict, young, unlabelled_genuine))
    return seen


def total(seen: Sequence[Seen]) -> tuple[int, int]:
    return len(seen), sum(one.amount for one in seen)


def matrix(seen: Sequence[Seen]) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (old, new): total([one for one in seen if (one.old.action, one.new.action) == (old, new)])
        for old in ACTIONS
        for new in ACTIONS
    }


def rules(seen: Sequence[Seen], ruleset: CompiledRuleset, side: str) -> dict[str, dict[str, Any]]:
    figures: dict[str, dict[str, Any]] = {}
    for rule in ruleset.document.rules:
        hit: list[Seen] = []
        alone = 0
        for one in seen:
            decision: Decision = getattr(one, side)
            live = {reason.rule for reason in decision.reasons}
            shadow = {reason.rule for reason in decision.shadow}
            if rule.id not in live | shadow:
                continue
            hit.append(one)
            alone += not live - {rule.id}
        truths = [one.truth for one in hit if one.truth is not None]
        figures[rule.id] = {
            "hits": len(hit),
            "hits_alone": alone,
            "amount_minor": sum(one.amount for one in hit),
            "labelled_hits": len(truths),
            "fraud_hits": truths.count("fraud"),
            "precision": truths.count("fraud") / len(truths) if truths else None,
        }
    return figures


def caught(seen: Sequence[Seen], side: str, stopping: Sequence[str]) -> dict[str, Any]:
    cells: dict[str, list[Seen]] = {"tp": [], "fp": [], "fn": [], "tn": []}
    for one in seen:
        if one.truth is not None:
            stopped, fraud = getattr(one, side).action in stopping, one.truth == "fraud"
            cells[("tp" if fraud else "fp") if stopped else ("fn" if fraud else "tn")].append(one)
    counts = {name: len(cell) for name, cell in cells.items()}
    tp, fp, fn = counts["tp"], counts["fp"], counts["fn"]
    return {
        **counts,
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "false_positives_per_fraud": fp / tp if tp else None,
        "amount_saved_minor": total(cells["tp"])[1],
        "amount_wrongly_stopped_minor": total(cells["fp"])[1],
        "amount_missed_minor": total(cells["fn"])[1],
    }


def detection(seen: Sequence[Seen], side: str) -> dict[str, Any]:
    return {"blocked": caught(seen, side, ["block"]), "stopped": caught(seen, side, ["flag", "block"])}


def weeks(seen: Sequence[Seen], time_zone: str) -> dict[str, list[Seen]]:
    """By the date of their Monday, in order."""
    by_week: dict[str, list[Seen]] = {}
    for one in seen:
        day = datetime.fromtimestamp(one.purchase.event_time / 1000, UTC).astimezone(ZoneInfo(time_zone)).date()
        by_week.setdefault((day - timedelta(days=day.weekday())).isoformat(), []).append(one)
    return by_week


def largest_flips(seen: Sequence[Seen], most: int) -> list[tuple[str, str, str]]:
    flips = [one for one in seen if one.old.action != one.new.action]
    flips.sort(key=lambda one: -one.amount)
    return [(one.purchase.transaction_id, one.old.action, one.new.action) for one in flips[:most]]
