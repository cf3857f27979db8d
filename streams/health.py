"""The worker's HTTP port: `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

log = structlog.get_logger(__name__)

# What a probe is told: None when all is well, else the reason why not.
Probe = Callable[[], str | None]


class HealthServer:
    """Serves probes and metrics until it is stopped."""

    def __init__(self, registry: CollectorRegistry, live: Probe, ready: Probe) -> None:
        self._registry = registry
        app = web.Application()
        app.add_routes(
            [
                web.get("/livez", lambda _: _answer(live)),
                web.get("/readyz", lambda _: _answer(ready)),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError where the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        log.info("serving probes and metrics", port=port)

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _answer(probe: Probe) -> web.Response:
    reason = probe()
    return web.Response(text="ok\n") if reason is None else web.Response(text=reason + "\n", status=503)
