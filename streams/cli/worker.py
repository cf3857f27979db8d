"""`stopbank worker`."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

import faust
import typer

from streams import topics
from streams.cli.running import run
from streams.clients import admin_client
from streams.health import verify_port_free
from streams.process import EXIT_CONFIG, spare_the_collector
from streams.settings import Settings, read_settings
from streams.topics import TopicsError, misfits, partition_counts, require_topics
from streams.unreachable import BrokerUnreachableError
from streams.worker import make_app

_NEEDED: Final = (*topics.INCOMING, *topics.WRITTEN, *topics.STATE_OF.values(), topics.RULESETS)


def worker() -> None:
    """Decide: run a worker until SIGTERM or Ctrl-C.

    Start as many as you like with the same settings: they share the partitions. A worker waits for the
    broker, and for rules to be published. While it is up, `/readyz` answers 503 with the reason until its
    state is recovered, `/livez` says that it runs, and `/metrics` serves Prometheus, all on
    `STOPBANK_HTTP_PORT`. SIGTERM lets it finish what is in flight (exit code 0). Exit code 2: a setting
    can't be used; 70: a fault that no retry mends, start it again; 78: topics are missing or don't fit.
    `stopbank settings` lists what the environment may set.

        STOPBANK_HTTP_PORT=8089 STOPBANK_LOG_FORMAT=console stopbank worker
    """
    # Until Faust sees to it: as the first process of a container, there is no other way to be ended.
    signal.signal(signal.SIGTERM, _end)
    use_fast_loop()
    settings = read_settings()
    if settings.http_port:
        verify_port_free(settings.http_host, settings.http_port)
    try:
        run(_verify_topics(settings))
    except TopicsError as error:
        typer.echo(f"stopbank: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    app = make_app(settings)
    spare_the_collector()
    host = faust.Worker(app, loglevel=settings.log_level, override_logging=False, redirect_stdouts=False, quiet=True)
    # It would write escapes for a terminal between the log's lines, into files too.
    host.spinner = None
    host.execute_from_commandline()


def _end(number: int, frame: object) -> None:
    sys.exit(0)


async def _verify_topics(settings: Settings) -> None:
    """Raises TopicsError for topics that are missing or don't fit; a broker that is away is waited for later."""
    try:
        async with admin_client(settings) as admin:
            await require_topics(admin, settings.topic_prefix, _NEEDED)
            problems = misfits(await partition_counts(admin, settings.topic_prefix), settings.topic_prefix)
    except BrokerUnreachableError:
        return
    if problems:
        raise TopicsError("\n".join(problems))


def use_fast_loop() -> None:
    """Run asyncio on uvloop, where there is one."""
    try:
        import uvloop
    except ImportError:
        return
    # Faust makes its own loop, by the policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # pyright: ignore[reportDeprecated]
