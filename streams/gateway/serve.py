"""Runs a gateway: its HTTP server, its probes, what works behind them, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.gateway.app import make_app
from streams.gateway.gateway import Gateway
from streams.gateway.http_protocol import BoundedHttpProtocol
from streams.gateway.keys import FileKeys
from streams.gateway.settings import GATEWAY_PREFIX, GatewaySettings
from streams.health import HealthServer
from streams.process import EXIT_FAULT
from streams.settings import Settings
from streams.settings_errors import SettingsError

log = structlog.get_logger(__name__)

# Two threads at most want Python at once, and the one that answers should not wait long while the other compiles.
_SWITCH_S: Final = 0.0005
# Callers keep connections for their next purchase longer than this server would by default.
_KEEP_ALIVE_S: Final = 75
# The longest deadline that a request may ask for, and a little.
_LAST_ANSWERS_S: Final = 61


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


async def serve(settings: Settings, own: GatewaySettings, keys: FileKeys) -> int:
    """Answer until SIGTERM or Ctrl-C; returns the exit code."""
    sys.setswitchinterval(_SWITCH_S)
    gateway = Gateway(settings, own)
    app = make_app(gateway.backend, keys, own.edge(settings), gateway.metrics)
    server = _Server(_server_config(hanging_up(app, lambda: gateway.is_leaving), own))
    health = HealthServer(gateway.metrics.registry, lambda: None, gateway.unready)
    _on_signals(gateway, server, own.linger_s)
    if settings.http_port:
        await health.start(settings.http_host, settings.http_port)
    gateway.start()
    failing = asyncio.create_task(gateway.failed())
    serving = asyncio.create_task(server.serve())
    log.info("answering", port=own.port, tls=own.tls_certfile is not None)
    await asyncio.wait({failing, serving}, return_when=asyncio.FIRST_COMPLETED)
    fault = failing.result() if failing.done() else None
    if fault is not None:
        log.critical("fatal fault, ending the process", error=repr(fault), exc_info=fault)
        _leave(gateway, server)
    await serving
    failing.cancel()
    left = await gateway.stop()
    await health.stop()
    log.info("ended", records_left=left)
    return EXIT_FAULT if fault is not None or left else 0


def _leave(gateway: Gateway, server: uvicorn.Server) -> None:
    gateway.leave()
    server.should_exit = True


def _on_signals(gateway: Gateway, server: uvicorn.Server, linger_s: float) -> None:
    loop = asyncio.get_running_loop()

    def linger() -> None:
        # Whoever sends requests here hears only after a while that they are to go elsewhere.
        gateway.leave()
        log.info("not ready any more, answering on", linger_s=linger_s)
        loop.call_later(linger_s, _leave, gateway, server)

    loop.add_signal_handler(signal.SIGTERM, linger)
    # At a terminal nobody stands before it.
    loop.add_signal_handler(signal.SIGINT, _leave, gateway, server)


def hanging_up(app: ASGIApp, is_leaving: Callable[[], bool]) -> ASGIApp:
    """The application, whose responses ask callers to connect anew, elsewhere, once it is leaving."""

    async def serving(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start" and is_leaving():
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await app(scope, receive, send_last)

    return serving


def _server_config(app: ASGIApp, own: GatewaySettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=own.host,
        port=own.port,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
        ssl_certfile=own.tls_certfile,
        ssl_keyfile=own.tls_keyfile,
    )


def verify_certificate(own: GatewaySettings) -> None:
    """Raises SettingsError where the certificate and its key can't be served with."""
    if own.tls_certfile is None:
        return

    def no_password() -> str:
        raise SettingsError(f"{GATEWAY_PREFIX}TLS_KEYFILE: the key is encrypted: give one that is not")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(own.tls_certfile, own.tls_keyfile, no_password)
    except SettingsError:
        raise
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{GATEWAY_PREFIX}TLS_CERTFILE, {GATEWAY_PREFIX}TLS_KEYFILE: the certificate and its key do not go "
            f"together (both PEM): {error}"
        ) from None


def read_keys_file(own: GatewaySettings) -> FileKeys:
    """The API keys. Raises SettingsError where no file is named, KeysFileError where it can't be used."""
    if own.keys_file is None:
        raise SettingsError(
            f"{GATEWAY_PREFIX}KEYS_FILE: needed, nobody is answered without an API key: name the keys file, which "
            "`stopbank keys create` makes"
        )
    return FileKeys(Path(own.keys_file))
