"""An inquiry: which decision a transaction was given."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.fields import Identifier
from models.problem import Wanted, first_problem


class InvalidInquiry(ValueError):  # noqa: N818  # reads as what it says
    """Bytes that are not an inquiry."""


class Inquiry(BaseModel):
    """Asks for the decision on a transaction: of its account or, where that is unknown, of one partition's accounts."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    transaction_id: Identifier
    account_id: Identifier | None = None
    partition: Annotated[int, Field(ge=0), Wanted("a partition's number: 0 or more")] | None = None


_inquiry = TypeAdapter(Inquiry)


def decode_inquiry(raw: bytes) -> Inquiry:
    """Read an inquiry from JSON. Raises InvalidInquiry."""
    try:
        inquiry = _inquiry.validate_json(raw)
    except ValidationError as error:
        raise InvalidInquiry(first_problem(error, "inquiry")) from None
    if (inquiry.account_id is None) == (inquiry.partition is None):
        raise InvalidInquiry("inquiry: account_id, partition: name one of the two")
    return inquiry
