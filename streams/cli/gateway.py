"""`stopbank gateway`."""

from __future__ import annotations

import asyncio
import signal
import sys

import typer
import uvloop

from streams.cli.running import run
from streams.gateway.connection import topic_partitions, verify_reply_partition
from streams.gateway.serve import read_keys_file, serve, verify_certificate
from streams.gateway.settings import GATEWAY_PREFIX, GatewaySettings, read_gateway_settings
from streams.health import verify_port_free
from streams.logs import configure_logging
from streams.process import EXIT_CONFIG, spare_the_collector
from streams.settings import Settings, read_settings
from streams.topics import REPLIES, TopicsError
from streams.unreachable import BrokerUnreachableError


def gateway() -> None:
    """Answer checkout over HTTP: run a gateway until SIGTERM or Ctrl-C.

    Start as many as you like: none keeps anything that another needs. Purchases go to Kafka and their decisions come
    back; what does not come back by the deadline is answered by the rules that need no state, or by amount, and says
    so. That holds while no broker answers, too. Callers show API keys, which `stopbank keys` makes. `/readyz` answers
    503 with the reason until the broker was reached and rules were read once, `/livez` says that it runs, and
    `/metrics` serves Prometheus, all on `STOPBANK_HTTP_PORT`. SIGTERM lets it answer what it was asked and write what
    it has queued (exit code 0). Exit code 2: a setting can't be used; 70: a fault, or records were left unwritten; 78:
    topics are missing. `stopbank settings` lists what the environment may set.

        STOPBANK_GATEWAY_KEYS_FILE=keys.yaml STOPBANK_HTTP_PORT=8090 stopbank gateway
    """
    # Until the loop sees to it: as the first process of a container, there is no other way to be ended.
    signal.signal(signal.SIGTERM, _end)
    settings, own = read_settings(), read_gateway_settings()
    keys = read_keys_file(own)
    verify_certificate(own)
    verify_port_free(own.host, own.port, GATEWAY_PREFIX, "")
    if settings.http_port:
        verify_port_free(settings.http_host, settings.http_port)
    try:
        run(_verify_topics(settings, own))
    except TopicsError as error:
        typer.echo(f"stopbank: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    configure_logging(settings.log_format, settings.log_level)
    spare_the_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(serve(settings, own, keys))
    raise typer.Exit(code)


def _end(number: int, frame: object) -> None:
    sys.exit(0)


async def _verify_topics(settings: Settings, own: GatewaySettings) -> None:
    """Raises TopicsError for topics that are missing; a broker that is away is connected to later."""
    try:
        counts = await topic_partitions(settings)
    except BrokerUnreachableError:
        return
    verify_reply_partition(own.reply_partition, counts[REPLIES])
