"""What a purchase turned out to be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.fields import EventTimeMs, Identifier
from models.problem import Wanted, first_problem
from models.purchase import Purchase


class InvalidLabel(ValueError):  # noqa: N818  # reads as what it says
    """Bytes that are not a label."""


class Label(BaseModel):
    """A verdict on one purchase, known at `event_time`.

    `purchase` is the purchase itself, as it was sent: with it the label counts in rules that ask for `fraud`.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    transaction_id: Identifier
    account_id: Identifier
    verdict: Annotated[Literal["fraud", "chargeback", "genuine"], Wanted("fraud, chargeback or genuine")]
    event_time: EventTimeMs
    purchase: Purchase | None = None

    @property
    def says_fraud(self) -> bool:
        """Whether the purchase is fraud; a chargeback is taken for one."""
        return self.verdict != "genuine"


_label = TypeAdapter(Label)


def decode_label(raw: bytes) -> Label:
    """Read a label from JSON. Raises InvalidLabel."""
    try:
        label = _label.validate_json(raw)
    except ValidationError as error:
        raise InvalidLabel(first_problem(error, "label")) from None
    if label.purchase is not None:
        _verify_same(label, label.purchase)
    return label


def _verify_same(label: Label, purchase: Purchase) -> None:
    for field in ("transaction_id", "account_id"):
        own, other = getattr(label, field), getattr(purchase, field)
        if own != other:
            raise InvalidLabel(
                f"label: purchase.{field}: {other!r} is not the label's {own!r}: send the purchase that it is on"
            )
