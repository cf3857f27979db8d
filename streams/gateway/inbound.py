"""A request on its way in: when it came, what its headers ask for, and its body, read with bounds."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.types import Receive, Scope

from models.card_number import find_card_number, holds_card_number
from streams.gateway.api_key import ApiKey
from streams.gateway.backend import Deadline
from streams.gateway.config import EdgeConfig
from streams.gateway.problems import ProblemError, failed, invalid

DEADLINE_HEADER: Final = "Stopbank-Deadline-Ms"
REQUEST_ID_HEADER: Final = "Stopbank-Request-Id"
MAX_DEADLINE_MS: Final = 60_000
_SCOPE_ENTRY: Final = "stopbank.inbound"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_JSON_TYPE: Final = re.compile(
    rb"application/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*\"?utf-8\"?[ \t]*)?", re.IGNORECASE
)
_DEADLINE: Final = re.compile(rb"[0-9]{1,5}")
_ASKED_FOR: Final = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"stopbank-deadline-ms",
        b"stopbank-request-id",
        b"x-request-id",
    )
)


class ClientGoneError(Exception):
    """The client left before its request was read."""


class Inbound:
    """One request. `arrived_s` is in seconds of the event loop's clock; `key` is set once the key is known."""

    __slots__ = ("_config", "_headers", "arrived_s", "key", "request_id")

    def __init__(self, scope: Scope, arrived_s: float, config: EdgeConfig) -> None:
        self._config = config
        self._headers = {name: value for name, value in scope["headers"] if name in _ASKED_FOR}
        self.arrived_s = arrived_s
        self.request_id = self._request_id()
        self.key: ApiKey | None = None
        scope[_SCOPE_ENTRY] = self

    @property
    def authorization(self) -> bytes:
        """The header that names the API key."""
        return self._headers.get(b"authorization", b"")

    def deadline(self) -> Deadline:
        """When the answer must leave. Raises ProblemError for a header that is no number of milliseconds."""
        header = self._headers.get(b"stopbank-deadline-ms")
        deadline_ms = self._config.deadline_ms
        if header is not None:
            deadline_ms = int(header) if _DEADLINE.fullmatch(header) else 0
            if not 1 <= deadline_ms <= MAX_DEADLINE_MS:
                raise invalid(DEADLINE_HEADER, f"is not a whole number of milliseconds from 1 to {MAX_DEADLINE_MS}")
        return Deadline(self.arrived_s + deadline_ms / 1000)

    async def json(self, receive: Receive) -> Any:
        """The body, decoded, free of card numbers. Raises ProblemError, or ClientGoneError."""
        self._verify_type()
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                body = await self._body(receive)
        except TimeoutError:
            detail = f"the body did not arrive within {self._config.body_timeout_s} s: send it at once"
            raise failed("slow-body", detail, headers=_CLOSING) from None
        try:
            decoded = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise failed("malformed-json", f"the body is not valid JSON in UTF-8: {error}") from None
        place = find_card_number(decoded)
        if place is not None:
            raise card_number_in(str(place))
        return decoded

    def _verify_type(self) -> None:
        encoding = self._headers.get(b"content-encoding", b"identity")
        if encoding.lower() != b"identity":
            detail = "Content-Encoding: compressed bodies are not read: send the JSON as it is"
            raise failed("unsupported-media-type", detail, headers={"Accept-Encoding": "identity"})
        if not _JSON_TYPE.fullmatch(self._headers.get(b"content-type", b"")):
            detail = "Content-Type: send the body as application/json, in UTF-8"
            raise failed("unsupported-media-type", detail)
        # What the length promises need not be read to be refused.
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._config.max_body_bytes:
            raise self._too_large()

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        body, more = message.get("body", b""), message.get("more_body", False)
        if not more and message["type"] != "http.disconnect" and len(body) <= self._config.max_body_bytes:
            return body
        parts, size = [body], len(body)
        while more and size <= self._config.max_body_bytes:
            message = await receive()
            part, more = message.get("body", b""), message.get("more_body", False)
            parts.append(part)
            size += len(part)
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if size > self._config.max_body_bytes:
            raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> ProblemError:
        detail = f"the body has more than {self._config.max_body_bytes} bytes: send less"
        return failed("body-too-large", detail, headers=_CLOSING)

    def _request_id(self) -> str:
        """The caller's, if it can be shown anywhere; else a new one."""
        given = self._headers.get(b"stopbank-request-id") or self._headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            request_id = given.decode("ascii")
            if not holds_card_number(request_id):
                return request_id
        return uuid.uuid4().hex


# The rest of a body that is not read would be taken for the next request.
_CLOSING: Final = {"Connection": "close"}


def inbound_of(request: Request) -> Inbound:
    """The request that the edge took in."""
    return cast(Inbound, request.scope[_SCOPE_ENTRY])


def card_number_in(where: str) -> ProblemError:
    """The error for a card number, which it does not tell."""
    sentence = (
        "holds 13 to 19 digits that pass the Luhn check, as card numbers do; nothing of it was kept. Send a token "
        "in its place; an id of digits alone can pass by chance: put letters between them, or use a UUID"
    )
    return failed("card-number", f"{where} {sentence}", [(where, sentence)])


def verify_target(scope: Scope) -> None:
    """Raises ProblemError for a card number in the path or in the query."""
    if holds_card_number(scope["path"]):
        raise card_number_in("the path")
    query = scope["query_string"]
    if query:
        for name, value in _pairs(query):
            if holds_card_number(name) or holds_card_number(value):
                raise card_number_in("the query")


def query_of(request: Request, known: frozenset[str] = frozenset()) -> dict[str, str]:
    """The query's parameters. Raises ProblemError for one that is not known, or that is there twice."""
    values: dict[str, str] = {}
    for name, value in _pairs(request.scope["query_string"]):
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise invalid("the query", f"has a parameter that is not known here: those known are {listed}")
        if name in values:
            raise invalid(name, "is there more than once: give it once")
        values[name] = value
    return values


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=False, errors="strict")
    except ValueError:
        raise invalid("the query", "is not text in UTF-8 with % before what is not ASCII: encode it so") from None
