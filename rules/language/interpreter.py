"""Conditions walked as trees, with three truth values: how matches are explained, and what the compiler is held to."""

from __future__ import annotations

from collections.abc import Mapping

from rules.language.facts import OPERATORS, Facts, read
from rules.language.typed import Compare, Condition, Either, IsIn, IsMissing, IsTrue, Negated


def truth(condition: Condition, facts: Facts, slots: Mapping[str, int]) -> bool | None:
    """Whether a condition holds; None where that is unknown (Kleene's strong logic of three values, 1938)."""
    if isinstance(condition, Compare):
        left, right = read(condition.left, facts, slots), read(condition.right, facts, slots)
        return None if left is None or right is None else OPERATORS[condition.op](left, right)
    if isinstance(condition, IsIn):
        item = read(condition.item, facts, slots)
        return None if item is None else (item in condition.members) is not condition.negated
    if isinstance(condition, IsMissing):
        return read(condition.value, facts, slots) is None
    if isinstance(condition, IsTrue):
        return read(condition.value, facts, slots)
    if isinstance(condition, Negated):
        inner = truth(condition.operand, facts, slots)
        return None if inner is None else not inner
    parts = [truth(operand, facts, slots) for operand in condition.operands]
    decisive = isinstance(condition, Either)
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive
