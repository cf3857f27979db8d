"""Decisions in two parts: what many of them have in common, and what each says itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from models.decision import Decision, Reason

SHAPE_BYTES: Final = 8


# What a rule that matched says of every purchase: the rule, its code and action, and the text of what was compared.
_ReasonShape = tuple[str, str, str, str | None]


class Shape(NamedTuple):
    """What many decisions by one ruleset have in common.

    There are as many as there are combinations of rules that match, not as many as decisions: nothing in it comes from
    a purchase.
    """

    ruleset: str
    version: str
    features: tuple[str, ...]
    action: str = "approve"
    reasons: tuple[_ReasonShape, ...] = ()
    shadow: tuple[_ReasonShape, ...] = ()
    scored: bool = False
    late: bool = False
    degraded: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Its text, from which `decode_shape` makes it again."""
        return orjson.dumps(tuple(self))


def digest_of(shape: Shape) -> bytes:
    """What a shape is found by. BLAKE2b (RFC 7693)."""
    return blake2b(shape.encode(), digest_size=SHAPE_BYTES).digest()


def decode_shape(raw: bytes) -> Shape:
    """A shape from its text."""
    ruleset, version, features, action, reasons, shadow, scored, late, degraded = orjson.loads(raw)
    return Shape(
        ruleset,
        version,
        tuple(features),
        action,
        tuple(tuple(each) for each in reasons),
        tuple(tuple(each) for each in shadow),
        scored,
        late,
        tuple(degraded),
    )


def shape_of(decision: Decision) -> Shape:
    """What a decision has in common with others."""
    (
        _, _, action, reasons, shadow, anomaly, contributions, features,
        ruleset, version, _, _, _, late, degraded,
    ) = decision  # fmt: skip
    return Shape(
        ruleset,
        version,
        (*features,),
        action,
        tuple([reason[:4] for reason in reasons]) if reasons else (),
        tuple([reason[:4] for reason in shadow]) if shadow else (),
        anomaly is not None or bool(contributions),
        late,
        (*degraded,),
    )


def values_of(decision: Decision) -> Sequence[object]:
    """What a decision says beside its shape, its ids, amount and time: of a plain approval the features' values."""
    values: list[object] = [*decision.features.values()]
    for reasons in (decision.reasons, decision.shadow):
        for reason in reasons:
            values += reason[4:]
    if decision.anomaly is not None or decision.contributions:
        values += (decision.anomaly, decision.contributions)
    return values


def decision_from(
    shape: Shape,
    transaction_id: str,
    account_id: str,
    amount: int,
    currency: str,
    event_time: int,
    values: Sequence[Any],
) -> Decision:
    """The decision of this shape that says this."""
    rest = iter(values)
    features = {name: next(rest) for name in shape.features}
    reasons, shadow = _reasons(shape.reasons, rest), _reasons(shape.shadow, rest)
    anomaly: float | None = next(rest) if shape.scored else None
    contributions: list[tuple[str, float]] = next(rest) if shape.scored else []
    return Decision(
        transaction_id,
        account_id,
        shape.action,
        reasons,
        shadow,
        anomaly,
        contributions,
        features,
        shape.ruleset,
        shape.version,
        amount,
        currency,
        event_time,
        shape.late,
        [*shape.degraded],
    )


def _reasons(shapes: Sequence[_ReasonShape], values: Iterator[Any]) -> list[Reason]:
    return [Reason(*shape, next(values), next(values), next(values)) for shape in shapes]
