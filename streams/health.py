"""The HTTP port of workers and gateways for those who run them: `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

import socket
from collections.abc import Callable

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest

from streams.settings import SettingsError

log = structlog.get_logger(__name__)

# What a probe is told: None when all is well, else the reason why not.
Probe = Callable[[], str | None]

_INDEX = "/livez    the process runs\n/readyz   it decides, or why it does not\n/metrics  for Prometheus\n"


class HealthServer:
    """Serves probes and metrics until it is stopped."""

    def __init__(self, registry: CollectorRegistry, live: Probe, ready: Probe) -> None:
        self._registry = registry
        app = web.Application()
        app.add_routes(
            [
                web.get("/", _index),
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
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        return web.Response(body=generate_latest(self._registry), headers=headers)


async def _index(_: web.Request) -> web.Response:
    return web.Response(text=_INDEX)


async def _answer(probe: Probe) -> web.Response:
    reason = probe()
    return web.Response(text="ok\n") if reason is None else web.Response(text=reason + "\n", status=503)


def verify_port_free(host: str, port: int, prefix: str = "STOPBANK_HTTP_", remedy: str = ", or 0 for none") -> None:
    """Raises SettingsError where this port can't be listened on.

    It names the settings, `prefix` and HOST or PORT, and after "Choose another" what else can be done.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise SettingsError(f"{prefix}HOST: {host} is no address of this machine: {error.strerror}") from None
    with socket.socket(family, kind, proto) as probe:
        # As the server does: what a worker left behind a moment ago is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
        except OSError as error:
            raise SettingsError(
                f"{prefix}PORT: port {port} on {host} can't be listened on: {error.strerror}. Choose another{remedy}"
            ) from None
