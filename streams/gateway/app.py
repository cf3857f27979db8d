"""The gateway's HTTP application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from streams.gateway.api_key import KeyScope
from streams.gateway.backend import Backend
from streams.gateway.config import EdgeConfig
from streams.gateway.decisions import Decisions
from streams.gateway.edge import FAILED, Edge
from streams.gateway.edge_metrics import EdgeMetrics
from streams.gateway.guard import Guard, Handler
from streams.gateway.inbound import ClientGoneError, inbound_of
from streams.gateway.keys import ApiKeys, FileKeys
from streams.gateway.limits import KeyLimits
from streams.gateway.openapi import DECIDE, LOOK_UP, STATUS, document, operation
from streams.gateway.problems import Problem, ProblemError, problem_response
from streams.gateway.purchases import BODIES, Purchases

# A transaction's id may hold a slash.
_ID: Final = "{transaction_id:path}"
# As proxies log it.
CLIENT_GONE: Final = 499


class _RawRoute(APIRoute):
    """A route whose handler reads the request itself: FastAPI's own reading costs more than all the rest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def make_app(backend: Backend, keys: ApiKeys, config: EdgeConfig, metrics: EdgeMetrics) -> ASGIApp:
    """The ASGI application over a backend. While it runs, a file of keys is followed."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Spans and logs of FastAPI's own would tell paths, and messages of errors, which may quote what was sent.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=_lifespan(keys, config.read_keys_every_s),
        exception_handlers={
            HTTPException: _told_by_router,
            ProblemError: _told,
            ClientGoneError: _gone,
            Exception: _failed,
        },
    )
    app.router.route_class = _RawRoute
    _add_routes(app, backend, keys, config)
    described = orjson.dumps(document(app))

    async def openapi(request: Request) -> Response:
        return Response(described, media_type="application/json")

    app.add_api_route("/openapi.json", openapi, methods=["GET", "HEAD"], response_model=None, include_in_schema=False)
    return Edge(app, config, metrics)


def _add_routes(app: FastAPI, backend: Backend, keys: ApiKeys, config: EdgeConfig) -> None:
    guard = Guard(keys, KeyLimits(config))
    decisions = Decisions(backend, config.max_ahead_s)
    purchases = Purchases(backend, config.max_ahead_s)

    async def status(request: Request) -> Response:
        headers = {"Cache-Control": "no-store"}
        return Response(orjson.dumps(asdict(backend.status())), headers=headers, media_type="application/json")

    def add(path: str, method: str, name: str, handler: Handler, *scopes: KeyScope) -> None:
        guarded, described = guard.admits(handler, *scopes), operation(name)
        app.add_api_route(
            path, guarded, methods=[method], operation_id=name, response_model=None, openapi_extra=described
        )
        if method == "GET":
            app.add_api_route(path, guarded, methods=["HEAD"], response_model=None, include_in_schema=False)

    add("/v1/decisions", "POST", DECIDE, decisions.decide, KeyScope.DECIDE)
    add(f"/v1/decisions/{_ID}", "GET", LOOK_UP, decisions.look_up, KeyScope.DECIDE, KeyScope.READ)
    for kind in BODIES:
        add(f"/v1/purchases/{_ID}/{kind}", "POST", kind, purchases.settler(kind), KeyScope.DECIDE)
    add("/v1/status", "GET", STATUS, status, KeyScope.ADMIN)


def _lifespan(keys: ApiKeys, every_s: float) -> Any:
    @asynccontextmanager
    async def following(app: FastAPI) -> AsyncGenerator[None]:
        if not isinstance(keys, FileKeys):
            yield
            return
        task = asyncio.create_task(keys.follow(every_s))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return following


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error.problem, inbound_of(request).request_id)


async def _gone(request: Request, error: Exception) -> Response:
    """For the log alone: nobody is there to be answered."""
    return Response(status_code=CLIENT_GONE)


async def _failed(request: Request, error: Exception) -> Response:
    """Answers; the edge hears of the error as well, and logs it."""
    return problem_response(FAILED, inbound_of(request).request_id)


async def _told_by_router(request: Request, error: Exception) -> Response:
    """What Starlette's router says: there is no such path, or the path has no such method."""
    assert isinstance(error, HTTPException)
    allowed = _allowed(request)
    if not allowed:
        problem = Problem("not-found", "there is nothing at this path: /openapi.json tells what there is")
    elif request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": allowed})
    else:
        problem = Problem("method-not-allowed", f"this path has {allowed}: use one of them", headers={"Allow": allowed})
    return problem_response(problem, inbound_of(request).request_id)


def _allowed(request: Request) -> str:
    """The methods that a request's path has; "" where there is no such path."""
    path = request.scope["path"]
    routes = [route for route in request.app.routes if isinstance(route, Route) and route.path_regex.match(path)]
    methods = {method for route in routes for method in route.methods or ()}
    return ", ".join(sorted(methods | {"OPTIONS"})) if methods else ""
