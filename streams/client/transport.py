"""Requests to gateways over a pool of connections: a deadline for each, and one hedged retry."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

import aiohttp

from streams.client.answers import DecisionAnswer, Response, Settled, UnusableError, is_full
from streams.client.errors import read_problem, refusal
from streams.client.hedge import Race, Schedule
from streams.client.places import Places

DEADLINE_HEADER: Final = "Stopbank-Deadline-Ms"
REQUEST_ID_HEADER: Final = "Stopbank-Request-Id"
# Below the time for which a gateway keeps an idle connection, so that it is the client that closes it.
_KEPT_ALIVE_S: Final = 15.0

T = TypeVar("T", DecisionAnswer, Settled)


class Request(NamedTuple):
    """What is asked of whichever gateway; `path` begins with a slash and is quoted."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """Milliseconds: how long after an attempt another sets out, and how long past the deadline one is waited for."""

    hedge_after_ms: float
    grace_ms: float


class Transport:
    """A pool of connections to gateways, once it is opened."""

    def __init__(
        self, places: Places, headers: Mapping[str, str], ssl: tls.SSLContext | bool, connections: int
    ) -> None:
        self._places = places
        self._headers = headers
        self._ssl = ssl
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool; connections are opened when they are needed."""
        self._session = aiohttp.ClientSession(
            # aiohttp sets TCP_NODELAY on every connection.
            connector=aiohttp.TCPConnector(ssl=self._ssl, limit=self._connections, keepalive_timeout=_KEPT_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            # The deadline bounds each request, whatever it waits for.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            headers=self._headers,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(self, request: Request, deadline_ms: int, patience: Patience, read: Callable[[Response], T]) -> T:
        """The first full answer that `read` can read, else the first.

        `read` raises UnusableError for one that it can't. Raises ProblemError for a refusal, UnavailableError.
        """
        session = self._session
        if session is None:
            raise RuntimeError("the client is not open: use it within `async with`")
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        due_s = begun_s + deadline_ms / 1000
        urls = self._places.next_two(begun_s)

        async def attempt(number: int) -> T:
            url = urls[number - 1]
            left_ms = max(1, round((due_s - loop.time()) * 1000))
            try:
                answer = read(await _fetched(session, url, request, left_ms, number))
            except UnusableError:
                self._places.shun(url, loop.time())
                raise
            if number > 1 and is_full(answer):
                self._places.shun(urls[0], loop.time())
            return answer

        times = Schedule(begun_s + patience.hedge_after_ms / 1000, due_s, due_s + patience.grace_ms / 1000)
        return await Race(attempt, urls, times).run()


async def _fetched(session: aiohttp.ClientSession, url: str, request: Request, left_ms: int, number: int) -> Response:
    """What this gateway answers. Raises ProblemError for 4xx, UnusableError where it can't be told or used."""
    headers = {DEADLINE_HEADER: str(left_ms)}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    try:
        async with session.request(
            request.method, url + request.path, data=request.body, headers=headers, allow_redirects=False
        ) as answer:
            body = await answer.read()
    except (aiohttp.ClientError, OSError) as error:
        raise UnusableError(f"{url}: {type(error).__name__}: {error}") from None
    if HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise refusal(answer.status, answer.headers, body)
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        raise UnusableError(f"{url}: {answer.status} {read_problem(answer.status, body).detail}".rstrip())
    return Response(answer.status, body, answer.headers.get(REQUEST_ID_HEADER, ""), number, url)
