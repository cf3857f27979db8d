"""Rulesets over columns: what each purchase is measured, matches and comes to.

It gives the values, hits and actions that the fold of one purchase after the other gives, for rulesets whose
features do not depend on how earlier purchases were decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.decision import Action
from models.ruleset import RuleDocument
from rules.columns.conditions import Judge
from rules.columns.crowded_accounts import CrowdedAccounts
from rules.columns.features import Block, ColumnarFeatures, FeatureColumn, Keeping, keeping_of
from rules.columns.table import Bools, Ints, PurchaseColumns
from rules.language.compile import CompiledRuleset
from rules.plan import Feature, Outcome, RulesetPlan, scope_of

# The actions by their code, and the codes.
ACTIONS: Final = (Action.APPROVE, Action.FLAG, Action.BLOCK)
APPROVE, FLAG, BLOCK = range(len(ACTIONS))
_BY_DECISION: Final = frozenset({Outcome.APPROVED, Outcome.DECLINED})


class Evaluated(NamedTuple):
    """One ruleset's answers for the n purchases of a table.

    `ok` is False where the ruleset has no rate for the currency: such a purchase is nowhere counted, matches
    nothing and is approved. `amount_minor` is in the ruleset's currency, `values` in the order of the plan's
    features, `hits` has a row for each rule, in file order, shadow rules too; `actions` are codes of ACTIONS.
    The arrays belong to all who ask: they are not to be written to.
    """

    ok: Bools
    amount_minor: Ints
    values: Sequence[FeatureColumn]
    hits: Bools
    actions: NDArray[np.uint8]


def columnar_obstacle(plan: RulesetPlan) -> str | None:
    """Why a ruleset can't be evaluated on columns, in words; None if it can."""
    for feature in plan.features:
        if feature.outcome in _BY_DECISION:
            return f"{feature.name} depends on how earlier purchases were decided"
    if plan.uses_anomaly:
        return "anomaly depends on what was learned from earlier decisions"
    if plan.uses_credit:
        return "available_credit and credit_limit depend on what was approved, paid back and set before"
    return None


class ColumnarRuleset:
    """One ruleset's run over consecutive tables, in canonical order."""

    def __init__(self, ruleset: CompiledRuleset) -> None:
        """Raises ValueError where columns can't do: see `columnar_obstacle`."""
        self._sweep = ColumnarSweep([ruleset])

    def take(self, table: PurchaseColumns) -> Evaluated:
        """Evaluate the next table."""
        (evaluated,) = self._sweep.take(table)
        return evaluated


class ColumnarSweep:
    """Several rulesets over the same consecutive tables. What they have in common is worked out once."""

    def __init__(self, rulesets: Sequence[CompiledRuleset]) -> None:
        """Raises ValueError where columns can't do for one of them: see `columnar_obstacle`."""
        self._runs: list[_Run] = []
        by_money: dict[tuple[object, ...], list[_Run]] = {}
        for ruleset in rulesets:
            obstacle = columnar_obstacle(ruleset.plan)
            if obstacle is not None:
                raise ValueError(f"{ruleset.id} can't be evaluated on columns: {obstacle}")
            money = ruleset.plan.currency, *sorted(ruleset.plan.rates.items())
            self._runs.append(_Run(ruleset, money))
            by_money.setdefault(money, []).append(self._runs[-1])
        self._features = {
            money: ColumnarFeatures([run.ruleset.plan for run in runs]) for money, runs in by_money.items()
        }
        self._open = False

    def take(self, table: PurchaseColumns) -> Iterator[Evaluated]:
        """Evaluate the next table under one ruleset after the other, in their order.

        What is common is kept until the last is asked, and all are to be asked before the next table is taken:
        else that raises RuntimeError.
        """
        if self._open:
            raise RuntimeError("the table before was not evaluated under all rulesets")
        self._open = True
        blocks = {money: features.take(table) for money, features in self._features.items()}
        judges: dict[tuple[object, ...], Judge] = {}
        to_come = Counter(run.alike for run in self._runs)
        for run in self._runs:
            block = blocks[run.money]
            yield run.take(block, judges.setdefault(run.alike, run.judge(block)))
            to_come[run.alike] -= 1
            if not to_come[run.alike]:
                # What only these have in common is not kept for others: with many windows that is a lot.
                del judges[run.alike]
        self._open = False


class _Run:
    """One ruleset over consecutive blocks. Rulesets that are `alike` may share a judge."""

    def __init__(self, ruleset: CompiledRuleset, money: tuple[object, ...]) -> None:
        plan = ruleset.plan
        self.ruleset = ruleset
        self.money = money
        self._features: list[tuple[Keeping, Feature]] = [
            (keeping_of(plan, entity), feature)
            for entity in (*plan.desk, *plan.stations)
            for feature in entity.features
        ]
        self._keepings = {keeping.entity: keeping for keeping, _ in self._features}
        self.alike = (money, plan.time_zone, frozenset(self._keepings.values()))
        self._accounts = CrowdedAccounts(ruleset)

    def judge(self, block: Block) -> Judge:
        """A judge of a block's purchases."""
        return Judge(
            block,
            self.ruleset.plan.time_zone,
            lambda feature: block.feature(self._keepings[scope_of(feature.entity)], feature),
        )

    def take(self, block: Block, judge: Judge) -> Evaluated:
        """Evaluate a block."""
        hits = np.zeros((len(self.ruleset.conditions), len(block.table)), np.bool_)
        for number, condition in enumerate(self.ruleset.conditions):
            np.logical_and(judge.holds(condition), block.ok, out=hits[number])
        columns = [block.feature(keeping, feature) for keeping, feature in self._features]
        rules = self.ruleset.document.rules
        actions = actions_of(rules, hits)
        crowded = self._accounts.crowded(block)
        if crowded:
            columns = [FeatureColumn(column.values.copy(), column.known.copy()) for column in columns]
        self._accounts.decide(block, crowded, columns, hits, actions == BLOCK)
        if crowded:
            actions = actions_of(rules, hits)
        return Evaluated(block.ok, block.amount_minor, columns, hits, actions)


def actions_of(rules: Sequence[RuleDocument], hits: Bools) -> NDArray[np.uint8]:
    """What a ruleset's hits come to: a final block, else an allow, a block, a flag. Shadow rules never act."""
    actions = np.zeros(hits.shape[1], np.uint8)
    for action, said in (
        (FLAG, [rule.then == "flag" for rule in rules]),
        (BLOCK, [rule.then == "block" for rule in rules]),
        (APPROVE, [rule.then == "allow" for rule in rules]),
        (BLOCK, [rule.final for rule in rules]),
    ):
        for number, (rule, says) in enumerate(zip(rules, said, strict=True)):
            if says and rule.mode == "live":
                actions[hits[number]] = action
    return actions
