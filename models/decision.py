"""A decision: what to do with a purchase, and every reason for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, NamedTuple, get_type_hints

import orjson
from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from models.problem import OneOf, Wanted, first_problem


class Action(StrEnum):
    """What the checkout is told."""

    APPROVE = "approve"
    FLAG = "flag"
    BLOCK = "block"


def _object_schema(of: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Reads a named tuple from a JSON object and from nothing else; fields with a default may be missing."""
    defaults: dict[str, object] = of._field_defaults
    fields = {
        name: core_schema.typed_dict_field(handler.generate_schema(hint), required=name not in defaults)
        for name, hint in get_type_hints(of, include_extras=True).items()
    }
    strict = core_schema.CoreConfig(strict=True)
    record = core_schema.typed_dict_schema(fields, extra_behavior="forbid", config=strict)
    return core_schema.no_info_after_validator_function(lambda values: of(**values), record)


ActionText = Annotated[str, OneOf(tuple(Action)), Wanted("approve, flag or block")]


class Reason(NamedTuple):
    """A rule that matched.

    `feature` is the text of what was compared; `observed` and `threshold` are in its unit (minor units for
    money, milliseconds for durations). `clears_at`, epoch milliseconds, is when the same purchase, tried
    again with nothing happening in between, no longer matches; None where time does not mend it.
    """

    rule: str
    code: str
    action: ActionText
    feature: str | None = None
    observed: int | float | str | None = None
    threshold: int | float | str | None = None
    clears_at: int | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _object_schema(cls, handler)


class Decision(NamedTuple):
    """The answer to one purchase: a function of the purchase, the state and the ruleset, of no clock."""

    transaction_id: str
    account_id: str
    action: ActionText
    reasons: list[Reason]
    shadow: list[Reason]
    anomaly: float | None
    contributions: list[tuple[str, float]]
    features: dict[str, int | None]
    ruleset: str
    ruleset_version: str
    amount: int
    currency: str
    event_time: int
    late: bool
    degraded: list[str]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _object_schema(cls, handler)


class InvalidDecision(ValueError):  # noqa: N818  # reads as what it says
    """Bytes that are not a decision."""


def encode_decision(decision: Decision) -> bytes:
    """The one text of a decision: JSON with the fields in the order of the class."""
    (
        transaction_id, account_id, action, reasons, shadow, anomaly, contributions, features,
        ruleset, version, amount, currency, event_time, late, degraded,
    ) = decision  # fmt: skip
    return orjson.dumps(
        {
            "transaction_id": transaction_id,
            "account_id": account_id,
            "action": action,
            "reasons": [reason._asdict() for reason in reasons] if reasons else reasons,
            "shadow": [reason._asdict() for reason in shadow] if shadow else shadow,
            "anomaly": anomaly,
            "contributions": contributions,
            "features": features,
            "ruleset": ruleset,
            "ruleset_version": version,
            "amount": amount,
            "currency": currency,
            "event_time": event_time,
            "late": late,
            "degraded": degraded,
        }
    )


_decision = TypeAdapter(Decision)


def decode_decision(raw: bytes) -> Decision:
    """Read a decision from JSON. Raises InvalidDecision."""
    try:
        return _decision.validate_json(raw)
    except ValidationError as error:
        raise InvalidDecision(first_problem(error, "decision")) from None
