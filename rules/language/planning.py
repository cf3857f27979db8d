"""From the features that rules ask for to the plan of what is kept and measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from models.ruleset import RulesetDocument
from rules.language.parser import duration_ms
from rules.language.typed import (
    All,
    Compare,
    Computed,
    Condition,
    Const,
    Either,
    FieldValue,
    IsIn,
    Measured,
    Negated,
    Value,
)
from rules.plan import (
    ACCOUNT_FIELDS,
    ENTITY_FIELDS,
    Aggregate,
    Clearing,
    EntityPlan,
    Feature,
    Period,
    RulesetPlan,
    Trailing,
    scope_of,
)

_DAY_MS: Final = 86_400_000
# A period at its longest: a day has 25 hours where clocks go back, and an hour more to be safe.
_PERIOD_MS: Final = {
    Period.TODAY: 26 * 3_600_000,
    Period.THIS_WEEK: 8 * _DAY_MS,
    Period.THIS_MONTH: 32 * _DAY_MS,
}
# `since` and `age` look back this far at least.
_SINCE_MS: Final = 30 * _DAY_MS
_CLEARING: Final = frozenset({Aggregate.COUNT, Aggregate.SUM, Aggregate.DISTINCT})
_CREDIT: Final = frozenset({"available_credit", "credit_limit"})


def plan_of(document: RulesetDocument, conditions: Iterable[Condition]) -> RulesetPlan:
    """The plan for a ruleset's conditions."""
    features: dict[str, Feature] = {}
    clearings: defaultdict[str, set[Clearing]] = defaultdict(set)
    fields: set[str] = set()
    for condition in conditions:
        for value in values_of(condition):
            if isinstance(value, Measured):
                features[value.feature.name] = value.feature
            elif isinstance(value, FieldValue):
                fields.add(value.name)
        for comparison in comparisons_of(condition):
            clearing = clearing_of(comparison)
            if clearing is not None and isinstance(comparison.left, Measured):
                clearings[comparison.left.feature.name].add(clearing)
    by_entity: defaultdict[tuple[str, ...], list[Feature]] = defaultdict(list)
    for name in sorted(features):
        ordered = tuple(sorted(clearings[name], key=lambda clearing: (clearing.threshold, clearing.op)))
        by_entity[scope_of(features[name].entity)].append(replace(features[name], clearings=ordered))
    plans = [_entity_plan(entity, by_entity[entity]) for entity in sorted(by_entity)]
    return RulesetPlan(
        desk=tuple(plan for plan in plans if ACCOUNT_FIELDS & set(plan.entity)),
        # What many purchases share is visited first: on the way, purchases that came close together change places,
        # and that shows where both are counted.
        stations=tuple(
            sorted(
                (plan for plan in plans if not ACCOUNT_FIELDS & set(plan.entity)),
                key=lambda plan: -min(map(ENTITY_FIELDS.index, plan.entity)),
            )
        ),
        time_zone=document.time_zone,
        currency=document.currency,
        rates=MappingProxyType(dict(document.rates)),
        allowed_lateness_ms=duration_ms(document.allowed_lateness),
        max_rows=document.max_rows,
        uses_anomaly="anomaly" in fields,
        uses_credit=bool(_CREDIT & fields),
        expire_after_ms=duration_ms(document.reservations.expire_after) if document.reservations else None,
    )


def _entity_plan(entity: tuple[str, ...], features: list[Feature]) -> EntityPlan:
    distinct = sorted({f.field for f in features if f.aggregate is Aggregate.DISTINCT and f.field})
    return EntityPlan(entity, tuple(features), tuple(distinct), max(_reach_ms(f) for f in features))


def _reach_ms(feature: Feature) -> int:
    if feature.window is None:
        return _SINCE_MS
    if isinstance(feature.window, Trailing):
        return feature.window.length_ms
    return _PERIOD_MS[feature.window.period]


def clearing_of(comparison: Compare) -> Clearing | None:
    """The clearing that a comparison wants, if time can end it: a feature that falls by itself, over a constant."""
    left, right = comparison.left, comparison.right
    if (
        comparison.op in (">", ">=")
        and isinstance(left, Measured)
        and left.feature.aggregate in _CLEARING
        and isinstance(right, Const)
        and isinstance(right.value, int)
        and abs(right.value) < 2**62
    ):
        return Clearing(comparison.op, right.value)
    return None


def comparisons_of(condition: Condition) -> Iterator[Compare]:
    """Every comparison in a condition, left to right."""
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, All | Either):
        for operand in condition.operands:
            yield from comparisons_of(operand)
    elif isinstance(condition, Negated):
        yield from comparisons_of(condition.operand)


def values_of(condition: Condition) -> Iterator[Value]:
    """Every value that a condition looks at, with the parts of computed ones."""
    if isinstance(condition, Compare):
        yield from _parts(condition.left)
        yield from _parts(condition.right)
    elif isinstance(condition, All | Either):
        for operand in condition.operands:
            yield from values_of(operand)
    elif isinstance(condition, Negated):
        yield from values_of(condition.operand)
    elif isinstance(condition, IsIn):
        yield from _parts(condition.item)
    else:
        yield from _parts(condition.value)


def _parts(value: Value) -> Iterator[Value]:
    yield value
    if isinstance(value, Computed):
        yield from _parts(value.left)
        yield from _parts(value.right)
