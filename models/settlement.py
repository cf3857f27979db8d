"""What becomes of a purchase once it is decided: captured, voided, refunded, or expired without any of these."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from models.fields import AmountMinor, Currency, EventTimeMs, Identifier
from models.problem import Wanted, first_problem


class InvalidSettlement(ValueError):  # noqa: N818  # reads as what it says
    """Bytes that are not a settlement, or not the result of one."""


class SettlementKind(StrEnum):
    """What happens to a purchase. A reservation that nobody captures expires by itself."""

    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    EXPIRE = "expire"


CAPTURE: Final = SettlementKind.CAPTURE.value
VOID: Final = SettlementKind.VOID.value
REFUND: Final = SettlementKind.REFUND.value
EXPIRE: Final = SettlementKind.EXPIRE.value


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Settlement(_Record):
    """A purchase is captured, voided or refunded. `amount` is in minor units of `currency`.

    Without an amount a capture takes all that is reserved, and a refund gives back all that is left. A void has none.
    Each `refund_id` gives back once; a capture and a void happen once to a purchase.
    """

    transaction_id: Identifier
    account_id: Identifier
    kind: Annotated[Literal["capture", "void", "refund"], Wanted("capture, void or refund")]
    amount: AmountMinor | None = None
    currency: Currency | None = None
    refund_id: Identifier | None = None
    event_time: EventTimeMs

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.amount is None) != (self.currency is None):
            raise _unfit("amount and currency go together: give both, or neither for all of it")
        if self.kind == VOID and self.amount is not None:
            raise _unfit("a void is of the whole purchase: leave amount and currency out")
        if (self.kind == REFUND) != (self.refund_id is not None):
            raise _unfit(
                "a refund needs a refund_id, by which it is told from others: add one"
                if self.kind == REFUND
                else f"a {self.kind} has no refund_id: leave it out"
            )
        return self


def _unfit(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("unfit", "{sentence}", {"sentence": sentence})


SettlementStatus = Literal["applied", "waiting", "refused"]
SettlementState = Literal["reserved", "captured", "voided", "refunded", "expired", "declined"]
# Why a settlement is refused:
#
# unknown_transaction  nothing is known, or known any more, of such a purchase of this account
# not_approved         the purchase was declined, and in a day no answer came to light that told otherwise
# already_captured     a void, or a capture of another amount, of what is captured
# already_voided       a capture of what was voided
# already_expired      a capture or a void of what has expired
# not_captured         a refund of what is not captured
# exceeds_reserved     a capture of more than was reserved
# exceeds_captured     a refund of more than is left of what was captured
# refund_id_used       a refund of another amount under the id of an earlier one
# too_many_refunds     a purchase is refunded in at most 64 parts
# no_rate              the ruleset has no rate (any more) between the currencies of the settlement and the purchase
SettlementCode = Literal[
    "unknown_transaction",
    "not_approved",
    "already_captured",
    "already_voided",
    "already_expired",
    "not_captured",
    "exceeds_reserved",
    "exceeds_captured",
    "refund_id_used",
    "too_many_refunds",
    "no_rate",
]
Minor = Annotated[int, Field(ge=0), Wanted("a whole number of minor units, 0 or more")]


class SettlementResult(_Record):
    """What a settlement did.

    `status` is `applied` (also where the same was applied before), `waiting` where the purchase is not decided yet,
    or declined while a gateway may have answered otherwise, or `refused`, for the reason in `code`. `state` is what
    the purchase is in now, null where nothing is known of it. `reserved` is what was reserved at first, `captured`
    and `refunded` what was so far, `released` what of the credit this settlement freed, all in minor units of
    `currency`, the ruleset's. `event_time` is the settlement's; of a reservation that expired, when it did.
    """

    transaction_id: Identifier
    account_id: Identifier
    kind: Literal["capture", "void", "refund", "expire"]
    status: SettlementStatus
    code: SettlementCode | None = None
    state: SettlementState | None = None
    reserved: Minor = 0
    captured: Minor = 0
    refunded: Minor = 0
    released: Minor = 0
    currency: Currency | None = None
    refund_id: Identifier | None = None
    event_time: EventTimeMs


_settlement = TypeAdapter(Settlement)
_result = TypeAdapter(SettlementResult)


def decode_settlement(raw: bytes) -> Settlement:
    """Read a settlement from JSON. Raises InvalidSettlement."""
    try:
        return _settlement.validate_json(raw)
    except ValidationError as error:
        raise InvalidSettlement(first_problem(error, "settlement")) from None


def encode_settlement_result(result: SettlementResult) -> bytes:
    """The result as JSON, without the fields that it has none of: the same result gives the same bytes."""
    return result.model_dump_json(exclude_none=True).encode()


def decode_settlement_result(raw: bytes) -> SettlementResult:
    """Read the result of a settlement from JSON. Raises InvalidSettlement."""
    try:
        return _result.validate_json(raw)
    except ValidationError as error:
        raise InvalidSettlement(first_problem(error, "settlement result")) from None
