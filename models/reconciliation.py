"""A reconciliation: an answer that was given without the full decision, held against it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.decision import ActionText
from models.fields import AmountMinor, Currency, EventTimeMs, Identifier
from models.problem import Wanted, first_problem


class InvalidReconciliation(ValueError):  # noqa: N818  # reads as what it says
    """Bytes that are not a reconciliation."""


class Reconciliation(BaseModel):
    """The checkout was answered `answered`, the full decision is `decided`; `differs` says whether they are not one.

    `degraded` is what the answer said of how it came about: its tier, then its cause. The versions are those of the
    ruleset that each was given under; an answer may have been given under none, which is "".
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    transaction_id: Identifier
    account_id: Identifier
    answered: ActionText
    decided: ActionText
    differs: Annotated[bool, Wanted("true or false")]
    degraded: list[str]
    ruleset: str
    answered_version: str
    decided_version: str
    amount: AmountMinor
    currency: Currency
    event_time: EventTimeMs


_reconciliation = TypeAdapter(Reconciliation)


def decode_reconciliation(raw: bytes) -> Reconciliation:
    """Read a reconciliation from JSON. Raises InvalidReconciliation."""
    try:
        return _reconciliation.validate_json(raw)
    except ValidationError as error:
        raise InvalidReconciliation(first_problem(error, "reconciliation")) from None
