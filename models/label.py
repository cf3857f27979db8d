"""What a purchase turned out to be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.fields import EventTimeMs, Identifier
from models.problem import Wanted, first_problem


class InvalidLabel(ValueError):  # noqa: N818  # reads as what it says
    """Bytes that are not a label."""


class Label(BaseModel):
    """A verdict on one purchase, known at `event_time`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    transaction_id: Identifier
    account_id: Identifier
    verdict: Annotated[Literal["fraud", "chargeback", "genuine"], Wanted("fraud, chargeback or genuine")]
    event_time: EventTimeMs


_label = TypeAdapter(Label)


def decode_label(raw: bytes) -> Label:
    """Read a label from JSON. Raises InvalidLabel."""
    try:
        return _label.validate_json(raw)
    except ValidationError as error:
        raise InvalidLabel(first_problem(error, "label")) from None
