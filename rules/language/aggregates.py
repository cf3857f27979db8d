"""Aggregates: from a call like `count(device_id, 10m)` to the feature that it asks for."""

from __future__ import annotations

from typing import Final

from rules.language import syntax
from rules.language.diagnostics import ExpressionError, did_you_mean
from rules.language.parser import duration_text
from rules.language.syntax import Expression
from rules.plan import (
    ENTITY_FIELDS,
    Aggregate,
    Calendar,
    Feature,
    Outcome,
    Period,
    Trailing,
    Window,
)

MAX_WINDOW_MS: Final = 90 * 86_400_000
# What `distinct` can count beside the entities.
_COUNTED: Final = ENTITY_FIELDS
_EXAMPLES: Final = {
    Aggregate.COUNT: "count(device_id, 10m)",
    Aggregate.SUM: "sum(amount, account_id, today)",
    Aggregate.AVG: "avg(amount, account_id, 30d)",
    Aggregate.MIN: "min(amount, account_id, 24h)",
    Aggregate.MAX: "max(amount, account_id, 24h)",
    Aggregate.DISTINCT: "distinct(account_id, device_id, 1h)",
    Aggregate.SINCE: "since(account_id)",
    Aggregate.AGE: "age(device_id)",
}
_OF_AMOUNT: Final = frozenset({Aggregate.SUM, Aggregate.AVG, Aggregate.MIN, Aggregate.MAX})


def feature_of(call: syntax.Call) -> Feature:
    """The feature that a call asks for. Raises ExpressionError where its arguments do not fit."""
    aggregate = Aggregate(call.name)
    arguments = list(call.arguments)
    field: str | None = None
    if aggregate in _OF_AMOUNT:
        field = _amount(aggregate, _next(arguments, call, aggregate, "what it is of"))
    elif aggregate is Aggregate.DISTINCT:
        field = _counted(_next(arguments, call, aggregate, "the field that is counted"))
    entity = _entity(_next(arguments, call, aggregate, "the entity"))
    window = None
    if aggregate not in (Aggregate.SINCE, Aggregate.AGE):
        window = _window(_next(arguments, call, aggregate, "a window"))
    outcome = _outcome(arguments.pop(0), aggregate, entity) if arguments else None
    if arguments:
        raise ExpressionError(f"{aggregate} takes no more than this", arguments[0].span, _like(aggregate))
    name = _name(aggregate, field, entity, window, outcome)
    return Feature(name, aggregate, entity, window, field, outcome)


def _next(arguments: list[Expression], call: syntax.Call, aggregate: Aggregate, what: str) -> Expression:
    if not arguments:
        raise ExpressionError(f"{aggregate} lacks {what}", call.span, _like(aggregate))
    return arguments.pop(0)


def _like(aggregate: Aggregate) -> str:
    return f"write it like `{_EXAMPLES[aggregate]}`"


def _amount(aggregate: Aggregate, node: Expression) -> str:
    if not (isinstance(node, syntax.Name) and node.name == "amount"):
        raise ExpressionError(f"{aggregate} is of `amount`", node.span, _like(aggregate))
    return "amount"


def _counted(node: Expression) -> str:
    if not (isinstance(node, syntax.Name) and node.name in _COUNTED):
        name = node.name if isinstance(node, syntax.Name) else ""
        suggestion = did_you_mean(name, _COUNTED) or f"one of {', '.join(_COUNTED)}"
        raise ExpressionError("distinct counts the values of a field", node.span, suggestion)
    return node.name


def _entity(node: Expression) -> tuple[str, ...]:
    names = node.items if isinstance(node, syntax.Tuple) else (node,)
    for name in names:
        if not isinstance(name, syntax.Name):
            raise ExpressionError("an entity is a field, or a tuple of fields", name.span)
        if name.name not in ENTITY_FIELDS:
            suggestion = did_you_mean(name.name, ENTITY_FIELDS) or f"one of {', '.join(ENTITY_FIELDS)}"
            raise ExpressionError(f"unknown entity `{name.name}`", name.span, suggestion)
    fields = {name.name for name in names if isinstance(name, syntax.Name)}
    if len(fields) < len(names):
        raise ExpressionError("a tuple names each field once", node.span)
    return tuple(field for field in ENTITY_FIELDS if field in fields)


def _window(node: Expression) -> Window:
    if isinstance(node, syntax.Duration):
        if not 1_000 <= node.length_ms <= MAX_WINDOW_MS:
            raise ExpressionError("a window is 1s to 90d long", node.span)
        return Trailing(node.length_ms)
    if isinstance(node, syntax.Name) and node.name in list(Period):
        return Calendar(Period(node.name))
    name = node.name if isinstance(node, syntax.Name) else ""
    suggestion = did_you_mean(name, Period)
    if isinstance(node, syntax.Number):
        suggestion = f"give it a unit, like `{node.value}m`"
    raise ExpressionError("a window is a duration like `10m`, or today, this_week, this_month", node.span, suggestion)


def _outcome(node: Expression, aggregate: Aggregate, entity: tuple[str, ...]) -> Outcome:
    if not (isinstance(node, syntax.Name) and node.name in list(Outcome)):
        name = node.name if isinstance(node, syntax.Name) else ""
        raise ExpressionError("an outcome is `approved`, `declined` or `fraud`", node.span, did_you_mean(name, Outcome))
    outcome = Outcome(node.name)
    if outcome is Outcome.FRAUD:
        _verify_windowed(node, aggregate, entity)
    elif "account_id" not in entity:
        raise ExpressionError(
            f"`{outcome}` is known to the account only",
            node.span,
            f"leave it out, or count by `(account_id, {entity[0]})`",
        )
    return outcome


def _verify_windowed(node: Expression, aggregate: Aggregate, entity: tuple[str, ...]) -> None:
    """Fraud is looked at in windows: labels come late, so that the first and the last of them mean little."""
    if aggregate in (Aggregate.SINCE, Aggregate.AGE):
        raise ExpressionError(
            f"{aggregate} knows no `fraud`",
            node.span,
            f"ask for fraud in a window, like `count({_entity_name(entity)}, 30d, fraud) > 0`",
        )


def _name(
    aggregate: Aggregate,
    field: str | None,
    entity: tuple[str, ...],
    window: Window | None,
    outcome: Outcome | None,
) -> str:
    parts = [field] if field else []
    parts.append(_entity_name(entity))
    if isinstance(window, Trailing):
        parts.append(duration_text(window.length_ms))
    elif window is not None:
        parts.append(window.period.value)
    if outcome is not None:
        parts.append(outcome.value)
    return f"{aggregate.value}({', '.join(parts)})"


def _entity_name(entity: tuple[str, ...]) -> str:
    return entity[0] if len(entity) == 1 else f"({', '.join(entity)})"
