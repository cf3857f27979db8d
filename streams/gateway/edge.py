"""The outermost layer of the gateway: a request's arrival, its id, its line in the log, and what must not come out."""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.gateway.config import EdgeConfig
from streams.gateway.edge_metrics import EdgeMetrics
from streams.gateway.inbound import REQUEST_ID_HEADER, Inbound
from streams.gateway.problems import Problem, problem_response

log = structlog.get_logger(__name__)

# What stands in the log and in the metrics for paths that are none of ours, which may hold anything.
UNMATCHED: Final = "unmatched"
_ID_HEADER: Final = REQUEST_ID_HEADER.lower().encode("ascii")


class Edge:
    """ASGI middleware around the whole application.

    It logs each request by its route's template, status, latency, key and request id: never a value of the path,
    the query, a header or the body. An error that nobody expected is answered as a problem, and logged by its type
    and place only, for its message may quote what was sent.
    """

    def __init__(self, app: ASGIApp, config: EdgeConfig, metrics: EdgeMetrics) -> None:
        self._app = app
        self._config = config
        self._metrics = metrics
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        arrived_s = time.perf_counter()
        inbound = Inbound(scope, asyncio.get_running_loop().time(), self._config)
        id_header = (_ID_HEADER, inbound.request_id.encode("ascii"))
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], id_header]
            await send(message)

        self._count(1)
        try:
            await self._app(scope, receive, send_named)
        except Exception as error:  # noqa: BLE001  # the last place where an error can be caught, and it is logged
            log.error("request failed", error=type(error).__name__, at=_place_of(error), request_id=inbound.request_id)
            if not status:
                await problem_response(FAILED, inbound.request_id)(scope, receive, send_named)
        finally:
            self._count(-1)
            self._note(scope, inbound, status, time.perf_counter() - arrived_s)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._metrics.in_flight(self._in_flight)

    def _note(self, scope: Scope, inbound: Inbound, status: int, latency_s: float) -> None:
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        self._metrics.observe(route, status, latency_s)
        log.info(
            "request",
            route=route,
            method=scope["method"],
            status=status,
            latency_ms=round(latency_s * 1000, 3),
            key=inbound.key.id if inbound.key is not None else None,
            request_id=inbound.request_id,
        )


FAILED: Final = Problem("internal", "the gateway failed, and wrote down where: tell its operator the request's id")


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
