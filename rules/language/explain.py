"""Why a rule matched: the comparison that decided, what was observed, and when it clears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rules.language.facts import Facts, read
from rules.language.interpreter import truth
from rules.language.planning import clearing_of
from rules.language.typed import All, Compare, Condition, Const, Either, FieldValue, IsIn, Measured, Value
from rules.plan import Feature


class Why(NamedTuple):
    """What a match is reported with; see `models.decision.Reason`."""

    feature: str | None
    observed: int | float | str | None
    threshold: int | float | str | None
    clears_at: int | None


def explain(condition: Condition, facts: Facts, slots: Mapping[str, int], features: Mapping[str, Feature]) -> Why:
    """Explain a condition that is true."""
    leaves = list(_true_leaves(condition, facts, slots))
    decisive = min(leaves, key=_rank, default=None)
    clears_at = _clears_at(condition, facts, slots, features)
    if isinstance(decisive, Compare):
        observed, threshold = _shown(decisive.left, facts, slots), _shown(decisive.right, facts, slots)
        return Why(decisive.left.text, observed, threshold, clears_at)
    if isinstance(decisive, IsIn):
        return Why(decisive.item.text, _shown(decisive.item, facts, slots), decisive.members_text, clears_at)
    return Why(None, None, None, clears_at)


def _shown(value: Value, facts: Facts, slots: Mapping[str, int]) -> int | float | str | None:
    """A value as a reason tells it: numbers and texts, so true and false as texts."""
    known = read(value, facts, slots)
    return str(known).lower() if isinstance(known, bool) else known


def _rank(leaf: Compare | IsIn) -> int:
    """A measured value over a constant tells most, then any comparison, then a list."""
    if isinstance(leaf, IsIn):
        return 3
    if not isinstance(leaf.right, Const):
        return 2 if not isinstance(leaf.left, Measured) else 1
    return 0 if isinstance(leaf.left, Measured) else 1 if isinstance(leaf.left, FieldValue) else 2


def _true_leaves(condition: Condition, facts: Facts, slots: Mapping[str, int]) -> list[Compare | IsIn]:
    """Comparisons that made the condition true, left to right; what is under a `not` made nothing true."""
    if isinstance(condition, Compare | IsIn):
        return [condition] if truth(condition, facts, slots) else []
    if isinstance(condition, All | Either):
        return [
            leaf
            for operand in condition.operands
            if truth(operand, facts, slots)
            for leaf in _true_leaves(operand, facts, slots)
        ]
    return []


def _clears_at(
    condition: Condition, facts: Facts, slots: Mapping[str, int], features: Mapping[str, Feature]
) -> int | None:
    """When a true condition ends to hold: `and` with its first part, `or` with its last; None where unknown."""
    if isinstance(condition, Compare):
        clearing = clearing_of(condition)
        if clearing is None or not isinstance(condition.left, Measured):
            return None
        name = condition.left.feature.name
        clears = facts.clears[slots[name]]
        place = features[name].clearings.index(clearing)
        return clears[place] if place < len(clears) else None
    if isinstance(condition, All):
        parts = [_clears_at(operand, facts, slots, features) for operand in condition.operands]
        return min((part for part in parts if part is not None), default=None)
    if isinstance(condition, Either):
        true = [operand for operand in condition.operands if truth(operand, facts, slots)]
        ends = [_clears_at(operand, facts, slots, features) for operand in true]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None
    return None
