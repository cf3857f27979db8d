"""The client: requests over connections that stay open, each answered within its deadline."""

from __future__ import annotations

import json
import re
import ssl as tls
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, urlencode

from models.purchase import Purchase
from streams.client.answers import DecisionAnswer, Response, Settled, read_decision, read_settlement
from streams.client.errors import NotFoundError
from streams.client.places import Places
from streams.client.transport import Patience, Request, Transport

LONGEST_DEADLINE_MS: Final = 60_000
# Any other 404 is of an address that leads past the gateway.
UNKNOWN_TRANSACTION: Final = "urn:stopbank:problem:unknown-transaction"
_KEY: Final = re.compile(r"[!-~]+")

T = TypeVar("T", DecisionAnswer, Settled)


class StopbankClient:
    """Asks gateways, over one pool of connections; `async with` opens and closes it.

    `urls` are the gateways, or what stands before them: they are asked in turn, and last where one has just failed or
    been too slow. `deadline_ms` is how long an answer may take; the gateway hears what is left of it and answers in
    time, degraded if need be. Where an attempt fails, or is not back after `hedge_after_ms` (half the deadline by
    default), the same request goes to the next address, once, and the first full answer is taken. A degraded one, or
    `waiting` for a settlement, is taken when the other attempt is over or at the deadline. For `grace_ms` past the
    deadline an answer that is on its way is still waited for. `ssl` is as aiohttp takes it: a context with your own
    authorities, or True for the system's. `connections` is how many may be open at a time.

    Raises ValueError for addresses, a key or times that can't be used.
    """

    def __init__(
        self,
        urls: Sequence[str],
        key: str,
        *,
        deadline_ms: int = 100,
        hedge_after_ms: float | None = None,
        grace_ms: float = 50,
        ssl: tls.SSLContext | bool = True,
        connections: int = 100,
    ) -> None:
        if not _KEY.fullmatch(key):
            raise ValueError("key: give the API key as it was printed: sb_ and what follows, without blanks")
        if grace_ms < 0 or (hedge_after_ms is not None and hedge_after_ms < 0):
            raise ValueError("hedge_after_ms, grace_ms: give milliseconds, 0 or more")
        self._deadline_ms = _checked(deadline_ms)
        self._hedge_after_ms = hedge_after_ms
        self._grace_ms = grace_ms
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._transport = Transport(Places(urls), headers, ssl, connections)

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def decide(self, purchase: Purchase, *, deadline_ms: int | None = None) -> DecisionAnswer:
        """The decision on a purchase; asked again, the same decision.

        Raises ConflictError where the transaction was sent with another body before, RefusedError, UnauthorizedError,
        TooManyRequestsError, and UnavailableError where no gateway answers: then decide as your own policy says.
        """
        body = purchase.model_dump_json(exclude_none=True).encode()
        request = Request("POST", "/v1/decisions", body)
        return await self._ask(request, deadline_ms, lambda got: read_decision(got, purchase.transaction_id))

    async def look_up(
        self, transaction_id: str, account_id: str | None = None, *, deadline_ms: int | None = None
    ) -> DecisionAnswer | None:
        """The decision that was given, None where none is known; with the account it is found faster.

        Raises NotFoundError where an address is not a gateway's, RefusedError, UnauthorizedError,
        TooManyRequestsError, UnavailableError.
        """
        query = "" if account_id is None else "?" + urlencode({"account_id": account_id})
        path = f"/v1/decisions/{quote(transaction_id, safe='')}{query}"
        try:
            return await self._ask(Request("GET", path), deadline_ms, lambda got: read_decision(got, transaction_id))
        except NotFoundError as error:
            if error.problem.type != UNKNOWN_TRANSACTION:
                raise
            return None

    async def capture(
        self,
        transaction_id: str,
        account_id: str,
        *,
        amount: int | None = None,
        currency: str | None = None,
        event_time: int | None = None,
        deadline_ms: int | None = None,
    ) -> Settled:
        """Take what was approved, or `amount` of it in minor units of `currency`; `event_time` in epoch ms is now.

        Raises NotFoundError where the transaction is unknown, ConflictError with `code` where it can't be captured,
        RefusedError, UnauthorizedError, TooManyRequestsError, UnavailableError.
        """
        fields = {"account_id": account_id, "amount": amount, "currency": currency, "event_time": event_time}
        return await self._settle(transaction_id, "capture", fields, deadline_ms)

    async def void(
        self, transaction_id: str, account_id: str, *, event_time: int | None = None, deadline_ms: int | None = None
    ) -> Settled:
        """Let go what was approved and not captured. Raises as `capture` does."""
        fields = {"account_id": account_id, "event_time": event_time}
        return await self._settle(transaction_id, "void", fields, deadline_ms)

    async def refund(
        self,
        transaction_id: str,
        account_id: str,
        refund_id: str,
        *,
        amount: int | None = None,
        currency: str | None = None,
        event_time: int | None = None,
        deadline_ms: int | None = None,
    ) -> Settled:
        """Give back what was captured, or `amount` of it; each `refund_id` gives back once.

        Raises as `capture` does.
        """
        fields = {
            "account_id": account_id,
            "refund_id": refund_id,
            "amount": amount,
            "currency": currency,
            "event_time": event_time,
        }
        return await self._settle(transaction_id, "refund", fields, deadline_ms)

    async def _settle(self, transaction_id: str, kind: str, fields: dict[str, Any], deadline_ms: int | None) -> Settled:
        # One time for both attempts: they are the same settlement.
        fields["event_time"] = fields["event_time"] or time.time_ns() // 1_000_000
        body = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()
        request = Request("POST", f"/v1/purchases/{quote(transaction_id, safe='')}/{kind}", body)
        return await self._ask(request, deadline_ms, lambda got: read_settlement(got, transaction_id))

    async def _ask(self, request: Request, deadline_ms: int | None, read: Callable[[Response], T]) -> T:
        deadline_ms = self._deadline_ms if deadline_ms is None else _checked(deadline_ms)
        hedge_after_ms = deadline_ms / 2 if self._hedge_after_ms is None else self._hedge_after_ms
        return await self._transport.ask(request, deadline_ms, Patience(hedge_after_ms, self._grace_ms), read)


def _checked(deadline_ms: int) -> int:
    """Raises ValueError for a deadline that no gateway takes."""
    if not 1 <= deadline_ms <= LONGEST_DEADLINE_MS:
        raise ValueError(f"deadline_ms: {deadline_ms} is not from 1 to {LONGEST_DEADLINE_MS} whole milliseconds")
    return deadline_ms
