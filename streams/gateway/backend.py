"""What stands behind the gateway's HTTP edge: whoever decides on purchases, looks decisions up and settles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from models.purchase import Purchase
from models.settlement import Settlement, SettlementResult


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time by which an answer must leave: `at_s`, in seconds of the event loop's monotonic clock."""

    at_s: float

    def left_s(self, now_s: float) -> float:
        """Seconds left at `now_s` of the same clock; below zero when it is past."""
        return self.at_s - now_s


class Answer(NamedTuple):
    """A decision's JSON text. `degraded` is empty for a full decision, else its tier and its cause."""

    text: bytes
    degraded: tuple[str, ...]


class Conflict(NamedTuple):
    """The transaction's id was used with another body, which differs in `fields`."""

    fields: tuple[str, ...]
    detail: str


class Refusal(NamedTuple):
    """The record can't be used, for `reason`: one of the dead letters' reasons."""

    reason: str
    detail: str


class StreamAwayError(Exception):
    """Nothing answered in time. Trying again makes sense after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"no answer from the stream; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """How a gateway is: the breaker's state (closed, open or half-open) and what is under way.

    `in_flight` counts the requests that wait for a reply, `queued_records` what is not written to Kafka yet.
    `ruleset` is the reference of the rules in force, None where none is known yet. `more` is for whoever looks
    closer; its values are JSON.
    """

    breaker: str
    in_flight: int
    queued_records: int
    ruleset: str | None
    more: dict[str, Any]


class Backend(Protocol):
    """Answers what came in over HTTP, already checked."""

    async def decide(self, purchase: Purchase, deadline: Deadline) -> Answer | Conflict | Refusal:
        """Decide on a purchase. Raises nothing, and is never later than the deadline."""
        ...

    async def look_up(self, transaction_id: str, account_id: str | None, deadline: Deadline) -> bytes | None:
        """The JSON text of the decision that was given, None where none was. Raises StreamAwayError."""
        ...

    async def settle(self, settlement: Settlement, deadline: Deadline) -> SettlementResult | Refusal | None:
        """Capture, void or refund. None: queued, and not answered yet.

        Raises StreamAwayError where it can't even be queued.
        """
        ...

    def status(self) -> GatewayStatus:
        """How the gateway is, now."""
        ...
