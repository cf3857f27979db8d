"""What a gateway answers, and how each answer is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from models.decision import Decision, InvalidDecision, decode_decision
from models.settlement import InvalidSettlement, SettlementResult, decode_settlement_result

# As `rules.degraded` names them; a client needs no rules. A full decision may bear other marks in `degraded`.
TIERS: Final = frozenset(("stateless-rules", "default"))

OfTransaction = TypeVar("OfTransaction", Decision, SettlementResult)


class UnusableError(Exception):
    """An attempt brought nothing that can be used; another may."""


class Response(NamedTuple):
    """An HTTP response that is no refusal. `attempt` is 1 or, for the hedged retry, 2."""

    status: int
    body: bytes
    request_id: str
    attempt: int
    url: str


class DecisionAnswer(NamedTuple):
    """A decision and how it came about.

    `tier` and `cause` are None for a full decision; else they say which part of the system answered in its place,
    and why. `decision.degraded` holds both, or what a full decision was made without. `attempt` is 1, or 2 where the
    hedged retry answered; `url` is the gateway that did, `request_id` what its logs call the request.
    """

    decision: Decision
    tier: str | None
    cause: str | None
    request_id: str
    attempt: int
    url: str

    @property
    def degraded(self) -> bool:
        """Whether the answer was given without the full decision."""
        return self.tier is not None


class Settled(NamedTuple):
    """What became of a capture, void or refund: `result.status` is `applied`, or `waiting` where it is kept and its
    purchase is not decided yet, or nothing was heard in time. Then the result comes on `settlements.results`."""

    result: SettlementResult
    request_id: str
    attempt: int
    url: str

    @property
    def applied(self) -> bool:
        """Whether it is done."""
        return self.result.status == "applied"


def is_full(answer: DecisionAnswer | Settled) -> bool:
    """Whether another attempt could bring nothing better: the full decision, or a settlement that is applied."""
    return not answer.degraded if isinstance(answer, DecisionAnswer) else answer.applied


def read_decision(response: Response, transaction_id: str) -> DecisionAnswer:
    """The decision on this transaction. Raises UnusableError."""
    decision = _read(decode_decision, response, transaction_id, "decision")
    tier, cause = [*decision.degraded, None, None][:2]
    if tier not in TIERS:
        tier = cause = None
    return DecisionAnswer(decision, tier, cause, response.request_id, response.attempt, response.url)


def read_settlement(response: Response, transaction_id: str) -> Settled:
    """What became of a capture, void or refund of this transaction. Raises UnusableError."""
    result = _read(decode_settlement_result, response, transaction_id, "result")
    return Settled(result, response.request_id, response.attempt, response.url)


def _read(
    decode: Callable[[bytes], OfTransaction], response: Response, transaction_id: str, what: str
) -> OfTransaction:
    try:
        found = decode(response.body)
    except (InvalidDecision, InvalidSettlement) as error:
        raise UnusableError(f"{response.url}: {response.status} with no {what}: {error}") from None
    if found.transaction_id != transaction_id:
        raise UnusableError(f"{response.url}: {response.status} with the {what} of another transaction")
    return found
