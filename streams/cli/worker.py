"""`stopbank worker`."""

from __future__ import annotations

import asyncio
import gc
from typing import Final

import faust

from streams.settings import read_settings
from streams.worker import make_app

_COLLECT_AFTER: Final = 100_000


def worker() -> None:
    """Decide: run a worker until SIGTERM or Ctrl-C.

    Start as many as you like with the same settings: they share the partitions. Settings come from the
    environment: `KAFKA_BOOTSTRAP_SERVERS`, `KAFKA_SECURITY_PROTOCOL` and the like, `STOPBANK_HTTP_PORT`
    (probes and metrics, 8088; 0 for none), `STOPBANK_TOPIC_PREFIX`, `STOPBANK_RULESET`.
    """
    use_fast_loop()
    settings = read_settings()
    app = make_app(settings)
    spare_the_collector()
    faust.Worker(
        app, loglevel=settings.log_level, override_logging=False, redirect_stdouts=False, quiet=True
    ).execute_from_commandline()


def spare_the_collector() -> None:
    """Let Python look for cycles less often.

    Purchases and their state make none, and there is much of it: looked through as often as by default it costs
    more than deciding does. What libraries leave is still found, once in so many new objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 50, 100)


def use_fast_loop() -> None:
    """Run asyncio on uvloop, where there is one."""
    try:
        import uvloop
    except ImportError:
        return
    # Faust makes its own loop, by the policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # pyright: ignore[reportDeprecated]
