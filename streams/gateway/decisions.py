"""`/v1/decisions`: a purchase in, its decision out; and the decision again."""

from __future__ import annotations

from typing import Final, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from models.fields import Identifier
from models.purchase import Purchase
from streams.gateway.backend import Answer, Backend, Conflict, Refusal, StreamAwayError
from streams.gateway.inbound import inbound_of, query_of
from streams.gateway.now import verify_not_ahead
from streams.gateway.problems import PROBLEMS, Problem, ProblemError, failed, invalid_record

DEGRADED_HEADER: Final = "Stopbank-Degraded"
# A decision is one caller's business.
_PLAIN: Final = {"Cache-Control": "no-store"}
_JSON: Final = "application/json"


@with_config(ConfigDict(extra="forbid", strict=True))
class LookUp(TypedDict):
    """What a decision is looked up by."""

    transaction_id: Identifier
    account_id: NotRequired[Identifier]


_look_up: Final = TypeAdapter(LookUp)
_ACCOUNT: Final = frozenset(("account_id",))


class Decisions:
    """The handlers of `/v1/decisions`."""

    def __init__(self, backend: Backend, max_ahead_s: int) -> None:
        self._backend = backend
        self._max_ahead_s = max_ahead_s

    async def decide(self, request: Request) -> Response:
        """Decide on the purchase in the body."""
        inbound = inbound_of(request)
        deadline = inbound.deadline()
        query_of(request)
        body = await inbound.json(request.receive)
        try:
            purchase = Purchase.model_validate(body)
        except ValidationError as error:
            raise invalid_record(error, "purchase") from None
        verify_not_ahead(purchase.event_time, self._max_ahead_s)
        answer = await self._backend.decide(purchase, deadline)
        if isinstance(answer, Answer):
            return _decision(answer)
        raise _conflicting(answer) if isinstance(answer, Conflict) else refused(answer)

    async def look_up(self, request: Request) -> Response:
        """Give a decision again."""
        deadline = inbound_of(request).deadline()
        asked = {"transaction_id": request.path_params["transaction_id"], **query_of(request, _ACCOUNT)}
        try:
            wanted = _look_up.validate_python(asked)
        except ValidationError as error:
            raise invalid_record(error, "request") from None
        try:
            text = await self._backend.look_up(wanted["transaction_id"], wanted.get("account_id"), deadline)
        except StreamAwayError as error:
            raise away(error) from None
        if text is None:
            raise failed("unknown-transaction", "no decision is kept of this transaction: was it sent, and lately?")
        return Response(text, headers=_PLAIN, media_type=_JSON)


def _decision(answer: Answer) -> Response:
    headers = _PLAIN
    if answer.degraded:
        tier, cause = answer.degraded
        headers = {**_PLAIN, DEGRADED_HEADER: f"{tier}; cause={cause}"}
    return Response(answer.text, headers=headers, media_type=_JSON)


def _conflicting(conflict: Conflict) -> ProblemError:
    errors = [(name, "differs from what was sent first") for name in conflict.fields]
    return ProblemError(Problem("conflict", conflict.detail, errors, {"fields": list(conflict.fields)}))


def refused(refusal: Refusal) -> ProblemError:
    """The error for a record that can't be used."""
    name = refusal.reason if refusal.reason in PROBLEMS else "malformed"
    return ProblemError(Problem(name, refusal.detail, more={"reason": refusal.reason}))


def away(error: StreamAwayError) -> ProblemError:
    """The error for a stream that does not answer."""
    detail = (
        f"Kafka or the workers do not answer in time, or too many wait for them: try again in {error.retry_after_s} s"
    )
    return failed("stream-away", detail, headers={"Retry-After": str(error.retry_after_s)})
