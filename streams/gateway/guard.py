"""Who may come in: a route's handler behind the API key, its scopes, and its limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from streams.gateway.api_key import KeyScope
from streams.gateway.inbound import inbound_of, verify_target
from streams.gateway.keys import ApiKeys
from streams.gateway.limits import KeyLimits

Handler = Callable[[Request], Awaitable[Response]]


class Guard:
    """Lets requests through to handlers."""

    def __init__(self, keys: ApiKeys, limits: KeyLimits) -> None:
        self._keys = keys
        self._limits = limits

    def admits(self, handler: Handler, *scopes: KeyScope) -> Handler:
        """The handler for those whose key has one of the scopes. It raises ProblemError for all others."""

        async def guarded(request: Request) -> Response:
            inbound = inbound_of(request)
            key = self._keys.holder(inbound.authorization, scopes)
            inbound.key = key
            self._limits.enter(key)
            try:
                verify_target(request.scope)
                return await handler(request)
            finally:
                self._limits.leave(key)

        return guarded
