"""Why a rule matched: the comparison that decided, what was observed, and when it clears.

What can be said of a condition before any purchase comes is worked out once. Where nothing is joined by `or`, that is
nearly all: if the condition is true, so is each of its comparisons. Only what an `or` joins is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import NamedTuple, TypeVar

from rules.language.facts import Facts, read
from rules.language.interpreter import truth
from rules.language.planning import clearing_of
from rules.language.typed import All, Compare, Condition, Const, Constant, Either, FieldValue, IsIn, Measured, Value
from rules.plan import RulesetPlan

_Shown = int | float | str | None
# What a match is reported with: feature, observed, threshold and clears_at of a `models.decision.Reason`.
Why = tuple[str | None, _Shown, _Shown, int | None]


class _Telling(NamedTuple):
    """A comparison that may have decided. The least tells most: of one rank, the first from the left."""

    rank: int
    place: int
    text: str
    observed: Value
    # What it was compared with: a value, or a constant as it is shown.
    other: Value | None
    constant: _Shown


# What made a part of a condition true, and when it ends to hold (None where that is unknown).
_Because = tuple[_Telling | None, int | None]
_Ordered = TypeVar("_Ordered", int, _Telling)


class Explainer:
    """Explains a condition of a ruleset where it is true."""

    def __init__(self, condition: Condition, plan: RulesetPlan) -> None:
        self._slots = {name: slot for slot, name in enumerate(plan.feature_names)}
        self._every = _Every(condition, plan, self._slots, count())

    def why(self, facts: Facts) -> Why:
        """Explain the condition."""
        telling, clears_at = self._every.because(facts)
        if telling is None:
            return None, None, None, clears_at
        _, _, text, value, other, constant = telling
        observed = _shown(read(value, facts, self._slots))
        threshold = constant if other is None else _shown(read(other, facts, self._slots))
        return text, observed, threshold, clears_at


class _Every:
    """What `and` joins, or a condition that joins nothing: it ends with the first of its parts."""

    def __init__(
        self, condition: Condition, plan: RulesetPlan, slots: Mapping[str, int], places: Iterator[int]
    ) -> None:
        tellings: list[_Telling] = []
        # Of each feature that clears: its slot, and the place of the comparison among its clearings.
        self._ends: list[tuple[int, int]] = []
        self._either: list[_Some] = []
        for operand in _joined(condition):
            if isinstance(operand, Either):
                self._either.append(_Some(operand, plan, slots, places))
            elif isinstance(operand, Compare | IsIn):
                tellings.append(_telling(operand, next(places)))
                self._ends += _ends(operand, plan, slots)
        self._telling = min(tellings, default=None)

    def because(self, facts: Facts) -> _Because:
        """Explain it where it is true."""
        ends = [clears[place] for slot, place in self._ends if place < len(clears := facts.clears[slot])]
        if not self._either:
            return self._telling, _least(ends)
        tellings = [self._telling]
        for some in self._either:
            telling, end_ms = some.because(facts)
            tellings.append(telling)
            ends.append(end_ms)
        return _least(tellings), _least(ends)


class _Some:
    """What `or` joins: it ends with the last of what is true, if all of those ends are known."""

    def __init__(self, either: Either, plan: RulesetPlan, slots: Mapping[str, int], places: Iterator[int]) -> None:
        self._slots = slots
        self._operands = [(operand, _Every(operand, plan, slots, places)) for operand in either.operands]

    def because(self, facts: Facts) -> _Because:
        """Explain it where it is true."""
        found = [every.because(facts) for operand, every in self._operands if truth(operand, facts, self._slots)]
        ends = [end_ms for _, end_ms in found if end_ms is not None]
        return _least([telling for telling, _ in found]), max(ends) if ends and len(ends) == len(found) else None


def _joined(condition: Condition) -> Iterator[Condition]:
    """What is true wherever the condition is."""
    if isinstance(condition, All):
        for operand in condition.operands:
            yield from _joined(operand)
    else:
        yield condition


def _telling(leaf: Compare | IsIn, place: int) -> _Telling:
    """A measured value over a constant tells most, then any comparison, then a list."""
    if isinstance(leaf, IsIn):
        return _Telling(3, place, leaf.item.text, leaf.item, None, leaf.members_text)
    left, right = leaf.left, leaf.right
    if not isinstance(right, Const):
        return _Telling(1 if isinstance(left, Measured) else 2, place, left.text, left, right, None)
    rank = 0 if isinstance(left, Measured) else 1 if isinstance(left, FieldValue) else 2
    return _Telling(rank, place, left.text, left, None, _shown(right.value))


def _shown(value: Constant | None) -> _Shown:
    """A value as a reason tells it: numbers and texts, so true and false as texts."""
    return str(value).lower() if isinstance(value, bool) else value


def _ends(leaf: Compare | IsIn, plan: RulesetPlan, slots: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    if isinstance(leaf, Compare) and isinstance(leaf.left, Measured):
        clearing = clearing_of(leaf)
        if clearing is not None:
            slot = slots[leaf.left.feature.name]
            yield slot, plan.features[slot].clearings.index(clearing)


def _least(values: Iterable[_Ordered | None]) -> _Ordered | None:
    known = [value for value in values if value is not None]
    return min(known) if known else None
