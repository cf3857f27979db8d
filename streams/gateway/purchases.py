"""`/v1/purchases`: what becomes of a purchase: captured, voided or refunded."""

from __future__ import annotations

from typing import Any, Final, NotRequired

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from models.fields import AmountMinor, Currency, EventTimeMs, Identifier
from models.settlement import CAPTURE, REFUND, VOID, Settlement, SettlementResult
from streams.gateway.backend import Backend, Refusal, StreamAwayError
from streams.gateway.decisions import away, refused
from streams.gateway.guard import Handler
from streams.gateway.inbound import inbound_of, query_of
from streams.gateway.now import now_ms, verify_not_ahead
from streams.gateway.problems import Problem, ProblemError, invalid_record

# The code of a refused settlement that says: no such transaction.
UNKNOWN_CODE: Final = "unknown_transaction"

_TOGETHER: Final[dict[str, Any]] = {"dependentRequired": {"amount": ["currency"], "currency": ["amount"]}}
_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_IN_PAIRS: Final = ConfigDict(extra="forbid", strict=True, json_schema_extra=_TOGETHER)


@with_config(_IN_PAIRS)
class Capture(TypedDict):
    """Takes what was reserved: all of it, or `amount` in minor units of `currency`. `event_time` is now by default."""

    account_id: Identifier
    amount: NotRequired[AmountMinor]
    currency: NotRequired[Currency]
    event_time: NotRequired[EventTimeMs]


@with_config(_STRICT)
class Void(TypedDict):
    """Gives up the whole purchase. `event_time` is now by default."""

    account_id: Identifier
    event_time: NotRequired[EventTimeMs]


@with_config(_IN_PAIRS)
class Refund(TypedDict):
    """Gives back what was captured, once for each `refund_id`: all that is left, or `amount` of it."""

    account_id: Identifier
    refund_id: Identifier
    amount: NotRequired[AmountMinor]
    currency: NotRequired[Currency]
    event_time: NotRequired[EventTimeMs]


BODIES: Final[dict[str, Any]] = {CAPTURE: Capture, VOID: Void, REFUND: Refund}


class Purchases:
    """The handlers of `/v1/purchases`."""

    def __init__(self, backend: Backend, max_ahead_s: int) -> None:
        self._backend = backend
        self._max_ahead_s = max_ahead_s

    def settler(self, kind: str) -> Handler:
        """The handler that settles purchases this way: capture, void or refund."""
        bodies = TypeAdapter[dict[str, Any]](BODIES[kind])

        async def settle(request: Request) -> Response:
            inbound = inbound_of(request)
            deadline = inbound.deadline()
            query_of(request)
            body = await inbound.json(request.receive)
            try:
                fields = {"event_time": now_ms(), **bodies.validate_python(body)}
                named = {"transaction_id": request.path_params["transaction_id"], "kind": kind}
                settlement = Settlement.model_validate({**fields, **named})
            except ValidationError as error:
                raise invalid_record(error, kind) from None
            verify_not_ahead(settlement.event_time, self._max_ahead_s)
            try:
                result = await self._backend.settle(settlement, deadline)
            except StreamAwayError as error:
                raise away(error) from None
            if isinstance(result, Refusal):
                raise refused(result)
            return _settled(result or _queued(settlement))

        return settle


def _queued(settlement: Settlement) -> SettlementResult:
    """Nobody answered yet."""
    return SettlementResult(
        transaction_id=settlement.transaction_id,
        account_id=settlement.account_id,
        kind=settlement.kind,
        status="waiting",
        refund_id=settlement.refund_id,
        event_time=settlement.event_time,
    )


def _settled(result: SettlementResult) -> Response:
    told = result.model_dump(mode="json")
    if result.status == "refused":
        name = "unknown-transaction" if result.code == UNKNOWN_CODE else "settlement-refused"
        state = f"; the purchase is {result.state}" if result.state else ""
        detail = f"the {result.kind} was refused: {result.code}{state}"
        raise ProblemError(Problem(name, detail, more={"code": result.code, "result": told}))
    status = 202 if result.status == "waiting" else 200
    return Response(orjson.dumps(told), status, {"Cache-Control": "no-store"}, "application/json")
