"""What moves an account's credit beside its purchases: the limit it is given, and money paid back."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.fields import MAX_AMOUNT_MINOR, AmountMinor, Currency, EventTimeMs, Identifier
from models.problem import Wanted, first_problem


class InvalidAccountRecord(ValueError):  # noqa: N818  # reads as what it says
    """Bytes that are neither a credit limit nor a repayment, as the topic demands."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class CreditLimit(_Record):
    """The credit that an account has from `event_time` on, in minor units."""

    account_id: Identifier
    credit_limit: Annotated[
        int, Field(ge=0, le=MAX_AMOUNT_MINOR), Wanted("a whole number of minor units from 0 to 10^15")
    ]
    currency: Currency
    event_time: EventTimeMs


class Repayment(_Record):
    """Money paid back: it frees as much of the credit, once for each `repayment_id`."""

    repayment_id: Identifier
    account_id: Identifier
    amount: AmountMinor
    currency: Currency
    event_time: EventTimeMs


_credit_limit = TypeAdapter(CreditLimit)
_repayment = TypeAdapter(Repayment)


def decode_credit_limit(raw: bytes) -> CreditLimit:
    """Read a credit limit from JSON. Raises InvalidAccountRecord."""
    try:
        return _credit_limit.validate_json(raw)
    except ValidationError as error:
        raise InvalidAccountRecord(first_problem(error, "credit limit")) from None


def decode_repayment(raw: bytes) -> Repayment:
    """Read a repayment from JSON. Raises InvalidAccountRecord."""
    try:
        return _repayment.validate_json(raw)
    except ValidationError as error:
        raise InvalidAccountRecord(first_problem(error, "repayment")) from None
