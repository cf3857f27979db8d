"""A small HTTP server that answers as a gateway might on its worst days: late, broken, or not at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import web

from models.decision import Decision, encode_decision
from models.purchase import Purchase
from tests.models.records import PURCHASE

MADE: Final = Purchase.model_validate(PURCHASE)
HOST: Final = "127.0.0.1"


def decision_text(action: str = "approve", degraded: tuple[str, ...] = (), transaction_id: str = "t-1") -> bytes:
    return encode_decision(
        Decision(
            transaction_id, "a-1", action, [], [], None, [], {}, "checkout", "v1", 1999, "CNY", 1_772_431_200_000,
            False, list(degraded),
        )
    )  # fmt: skip


def result_text(status: str = "applied", transaction_id: str = "t-1") -> bytes:
    return orjson.dumps(
        {
            "transaction_id": transaction_id,
            "account_id": "a-1",
            "kind": "capture",
            "status": status,
            "state": "captured",
            "captured": 1999,
            "event_time": 1_772_431_200_000,
        }
    )


def problem_text(status: int, **extra: Any) -> bytes:
    name = extra.pop("type", "urn:stopbank:problem:some")
    return orjson.dumps({"type": name, "title": "Some problem", "status": status, "detail": "told", **extra})


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass
class Reply:
    """What is done with one request: `waits` holds it back until the event is set, `drops` closes the connection."""

    status: int = 200
    body: bytes = field(default_factory=decision_text)
    headers: dict[str, str] = field(default_factory=dict[str, str])
    waits: bool = False
    drops: bool = False


@dataclass
class ScriptedGateway:
    """Replies by its script, one a request, and by `otherwise` once that is at its end."""

    otherwise: Reply = field(default_factory=Reply)
    script: list[Reply] = field(default_factory=list[Reply])
    seen: list[Seen] = field(default_factory=list[Seen])
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        peer = transport.get_extra_info("peername")
        body = await request.read()
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), body, tuple(peer)))
        self.arrived.set()
        reply = self.script.pop(0) if self.script else self.otherwise
        if reply.waits:
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.abandoned.set()
                raise
        if reply.drops:
            transport.close()
        headers = {"Stopbank-Request-Id": f"r-{len(self.seen)}", **reply.headers}
        return web.Response(body=reply.body, status=reply.status, headers=headers)


@asynccontextmanager
async def serving(
    gateway: ScriptedGateway | None = None, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[ScriptedGateway]:
    """A gateway that listens on a port of its own, with TLS if need be."""
    gateway = gateway or ScriptedGateway()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.handle)
    # A request is cancelled when its caller has gone, which tells that it has.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
    await site.start()
    gateway.url = f"http{'s' if tls else ''}://{HOST}:{runner.addresses[0][1]}"
    try:
        yield gateway
    finally:
        gateway.released.set()
        await runner.cleanup()
