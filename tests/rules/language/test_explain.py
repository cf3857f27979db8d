"""Why a rule matched, against a plain walk over the typed tree: each part is looked at again, for every purchase."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from rules.calendar import period_clock
from rules.language.compile import CompiledRuleset
from rules.language.explain import Explainer
from rules.language.facts import Facts, read
from rules.language.interpreter import truth
from rules.language.planning import clearing_of
from rules.language.typed import All, Compare, Condition, Const, Either, FieldValue, IsIn, Measured, Value
from tests.rules.language.generated import RuleFileText, rule_files, worlds
from tests.rules.language.reference import feature_key
from tests.rules.language.test_differential import DRAWN


class Walk:
    """Explains conditions of one ruleset by one purchase."""

    def __init__(self, compiled: CompiledRuleset, facts: Facts) -> None:
        self._facts = facts
        self._slots = {name: slot for slot, name in enumerate(compiled.plan.feature_names)}
        self._features = compiled.plan.features

    def holds(self, condition: Condition) -> bool:
        return truth(condition, self._facts, self._slots) is True

    def why(self, condition: Condition) -> tuple[object, ...]:
        decisive = min(self._true_leaves(condition), key=_rank, default=None)
        clears_at = self._clears_at(condition)
        if decisive is None:
            return None, None, None, clears_at
        if isinstance(decisive, IsIn):
            return decisive.item.text, self._shown(decisive.item), decisive.members_text, clears_at
        return decisive.left.text, self._shown(decisive.left), self._shown(decisive.right), clears_at

    def _shown(self, value: Value) -> object:
        known = read(value, self._facts, self._slots)
        return {True: "true", False: "false"}[known] if isinstance(known, bool) else known

    def _true_leaves(self, condition: Condition) -> list[Compare | IsIn]:
        """Comparisons that made it true, left to right; what is under a `not` made nothing true."""
        if not self.holds(condition):
            return []
        if isinstance(condition, Compare | IsIn):
            return [condition]
        if isinstance(condition, All | Either):
            return [leaf for operand in condition.operands for leaf in self._true_leaves(operand)]
        return []

    def _clears_at(self, condition: Condition) -> int | None:
        """`and` ends with its first part, `or` with the last that is true; None where unknown."""
        if isinstance(condition, Compare) and isinstance(condition.left, Measured):
            clearing = clearing_of(condition)
            if clearing is None:
                return None
            slot = self._slots[condition.left.feature.name]
            clears = dict(zip(self._features[slot].clearings, self._facts.clears[slot], strict=False))
            return clears.get(clearing)
        if isinstance(condition, All):
            ends = [self._clears_at(operand) for operand in condition.operands]
            return min((end for end in ends if end is not None), default=None)
        if isinstance(condition, Either):
            ends = [self._clears_at(operand) for operand in condition.operands if self.holds(operand)]
            return None if None in ends else max(end for end in ends if end is not None)
        return None


def _rank(leaf: Compare | IsIn) -> int:
    """A measured value over a constant tells most, then any comparison, then a list."""
    if isinstance(leaf, IsIn):
        return 3
    measured = isinstance(leaf.left, Measured)
    if isinstance(leaf.right, Const):
        return 0 if measured else 1 if isinstance(leaf.left, FieldValue) else 2
    return 1 if measured else 2


ENDS = st.one_of(st.none(), st.integers(1, 4), st.integers(1, 4))


@DRAWN
@given(data=st.data(), file=rule_files())
def test_a_match_is_explained_as_a_walk_over_its_condition_does(data: st.DataObject, file: RuleFileText) -> None:
    plan = file.compiled.plan
    explainers = [Explainer(condition, plan) for condition in file.compiled.conditions]
    for _ in range(4):
        world = data.draw(worlds(file))
        values = [world.features[feature_key(feature)] for feature in plan.features]
        # Of some features it is not known when they clear.
        clears = [data.draw(st.just(()) | st.tuples(*[ENDS] * len(feature.clearings))) for feature in plan.features]
        clock = period_clock(world.zone)
        facts = Facts(world.purchase, world.amount, values, clears, world.anomaly, world.available, world.limit, clock)
        walk = Walk(file.compiled, facts)
        for condition, explainer in zip(file.compiled.conditions, explainers, strict=True):
            if walk.holds(condition):
                why = explainer.why(facts)
                event(f"clears {why[3] is not None}")
                assert why == walk.why(condition)
                assert list(map(type, why)) == list(map(type, walk.why(condition)))
