"""A gateway's parts, put together: what connects it, what it answers with, and why it is not ready."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from rules.degraded import DegradedAnswers, parse_bands
from rules.fold import StateNotReadyError
from streams.gateway.breaker import Breaker
from streams.gateway.connection import Connection
from streams.gateway.kafka_backend import KafkaBackend
from streams.gateway.listener import ReplyListener
from streams.gateway.metrics import GatewayMetrics
from streams.gateway.outbox import Limits, Outbox
from streams.gateway.replies import Replies
from streams.gateway.rules import follow_rules, keep_answering
from streams.gateway.settings import GatewaySettings
from streams.rulesets import Registry
from streams.settings import Settings

log = structlog.get_logger(__name__)

# Records that wait longer than this to be written tell that their partition's broker is away.
_LONGEST_WAIT_S: Final = 1.0
# Who allows less than this, or than half of the default deadline, may miss while all others are answered in time.
_LEAST_ALLOWED_S: Final = 0.05


class Gateway:
    """Everything but the HTTP server. Made and used on the running loop.

    `is_leaving` says that it is about to end, and is not ready any more.
    """

    def __init__(self, settings: Settings, own: GatewaySettings) -> None:
        self.metrics = metrics = GatewayMetrics()
        self._drain_s = own.drain_s
        self._registry = Registry(settings.ruleset)
        self._degraded = DegradedAnswers(parse_bands(own.default_answers))
        self._breaker = breaker = breaker_of(own)
        limits = Limits(own.max_queued, own.max_queued_bytes)
        self._outbox = outbox = Outbox(limits, lambda _: metrics.unrecorded.inc(), self._lost)
        replies = Replies(breaker.replied, metrics.late_replies.inc)
        self._connection = Connection(settings, outbox, ReplyListener(settings, replies), own.reply_partition)
        self.backend = KafkaBackend(
            self._connection,
            outbox,
            replies,
            breaker,
            self._degraded,
            self._registry,
            metrics,
            own.margin_ms / 1000,
            own.max_in_flight,
            own.max_look_ups,
        )
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []
        self.is_leaving = False
        metrics.watch(lambda: breaker.state, self._queued)

    def start(self) -> None:
        """Connect and follow the rules, in the background."""
        for name, work in (
            ("connection", self._connection.keep()),
            ("rulesets", follow_rules(self._settings, self._registry)),
            ("degraded answers", keep_answering(self._registry, self._degraded)),
        ):
            self._tasks.append(asyncio.create_task(work, name=name))

    async def failed(self) -> BaseException:
        """Wait for what works in the background to end, which is a fault; returns it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = done.pop()
        return task.exception() or RuntimeError(f"{task.get_name()} ended")

    def leave(self) -> None:
        """Be not ready any more: the gateway is about to end."""
        self.is_leaving = True

    async def stop(self) -> int:
        """Write what is queued, as far as time allows, then disconnect; returns how many records are left."""
        left = await self._outbox.drain(self._drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()
        return left

    def unready(self) -> str | None:
        """Why a gateway should not be called yet, or any more.

        Once it was connected and had rules it stays ready: a broker that is lost is lost to other gateways too, and
        to be answered in tiers is better than not to be answered.
        """
        if self.is_leaving:
            return "it is ending"
        if not self._connection.was_up:
            return self._connection.problem
        try:
            self._registry.in_force()
        except StateNotReadyError as missing:
            return str(missing)
        return None

    def _lost(self, failure: Exception) -> None:
        self._connection.give_up(failure)

    def _queued(self) -> tuple[int, int, float]:
        outbox = self._outbox
        return outbox.queued, outbox.queued_bytes, outbox.oldest_wait_s(asyncio.get_running_loop().time())


def breaker_of(own: GatewaySettings) -> Breaker:
    """The breaker of these settings."""
    deadline_s = own.deadline_ms / 1000
    return Breaker(
        own.breaker_failures,
        own.probe_interval_ms / 1000,
        _LONGEST_WAIT_S,
        # Half, as some of the default deadline is over when a request has been read.
        least_allowed_s=min(_LEAST_ALLOWED_S, deadline_s / 2),
        longest_reply_s=deadline_s - min(own.margin_ms / 1000, deadline_s / 2),
    )
