"""The worker: a Faust app with an agent for each topic that is read, and the pure steps behind them."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP

from models.decision import Decision
from rules.dead_letter import DEAD_LETTERS, REASON_HEADER
from rules.desk import DECISIONS, RECEIVED_HEADER, Desk
from rules.fold import Output, StateNotReadyError
from rules.router import Router
from rules.station import Station
from streams import topics
from streams.engine.app import EngineApp
from streams.engine.core import EngineConfig
from streams.engine.partition import Run
from streams.engine.pipeline import RunPipeline
from streams.health import HealthServer
from streams.logs import configure_logging
from streams.metrics import WorkerMetrics
from streams.rulesets import Registry, follow
from streams.settings import Settings

log = structlog.get_logger(__name__)

# A pause between attempts to reach a broker that is away.
_RETRY_S: Final = 1.0


class StopbankApp(EngineApp):
    """The engine's app with the rulesets, the metrics and the probes of a Stopbank worker."""

    def __init__(self, settings: Settings) -> None:
        prefix = settings.topic_prefix
        config = EngineConfig(
            group_id=settings.consumer_group,
            client=settings.kafka.client_options(),
            targets={name: prefix + name for name in topics.WRITTEN},
            session_timeout_s=settings.session_timeout_s,
            fetch_wait_ms=settings.fetch_wait_ms,
            linger_ms=settings.linger_ms,
            idempotent=settings.idempotent,
            group_instance_id=settings.group_instance_id,
            compression=None if settings.compression == "none" else settings.compression,
        )
        super().__init__("stopbank", config, autodiscover=False)
        self.settings = settings
        self.registry = Registry(settings.ruleset)
        self.metrics = WorkerMetrics(self._lags)
        self._health = HealthServer(self.metrics.registry, self._live, self._ready)
        self._open = False
        self._recovering_since_s = time.monotonic()
        self._following: asyncio.Task[None] | None = None

    # -- life ---------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Serve probes, wait for the broker, follow the rulesets, then start what consumes."""
        if self.settings.http_port:
            await self._health.start(self.settings.http_host, self.settings.http_port)
        await self._patiently(super().on_start)
        self._following = asyncio.create_task(self._follow_rulesets())

    async def on_stop(self) -> None:
        """Finish what is in flight, then leave."""
        await super().on_stop()
        if self._following is not None:
            self._following.cancel()
        await self._health.stop()

    async def _patiently(self, connect: Callable[[], Awaitable[None]]) -> None:
        """Connect, and try again for as long as no broker answers."""
        while True:
            try:
                await connect()
                return
            except KafkaConnectionError as error:
                servers = self.settings.kafka.bootstrap_servers
                log.warning("no broker answers, trying again", servers=servers, error=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _follow_rulesets(self) -> None:
        while True:
            try:
                await follow(self.settings, self.registry, lambda: None)
            except KafkaError as error:
                log.warning("rulesets can't be read, trying again", error=repr(error))
                await asyncio.sleep(_RETRY_S)
            except Exception as failure:  # noqa: BLE001  # whatever it is, it ends the process
                self.fail(failure)

    # -- what the engine tells ----------------------------------------------------------------------

    def on_ownership_change(self, *, ready: bool) -> None:
        """Note whether every assigned partition is open."""
        if ready:
            self.metrics.recovery_s.set(time.monotonic() - self._recovering_since_s)
        elif self._open:
            self._recovering_since_s = time.monotonic()
        self._open = ready
        self.metrics.ready.set(ready)

    def on_expired(self, tp: TopicPartition, records: int) -> None:
        """Count records that are gone unread."""
        self.metrics.expired.inc(records)

    async def wait_ready(self, missing: StateNotReadyError) -> None:
        """Wait until another ruleset arrives."""
        log.info("waiting", reason=str(missing))
        await self.registry.wait_changed()

    def note_decision(self, decision: Decision | None) -> None:
        """Count a decision; None is a repeat of an earlier one."""
        metrics = self.metrics
        if decision is None:
            metrics.repeats.inc()
            return
        metrics.decisions.labels(decision.action).inc()
        if decision.late:
            metrics.late.inc()
        for mode, reasons in (("live", decision.reasons), ("shadow", decision.shadow)):
            for reason in reasons:
                metrics.rule_hits.labels(reason.rule, mode).inc()

    def note_outputs(self, run: Run, outputs: Sequence[Output], elapsed_s: float) -> None:
        """Count what a run has brought, now that it is acknowledged."""
        metrics, now_s = self.metrics, time.time()
        metrics.in_process_s.observe(elapsed_s, len(run.records))
        for output in outputs:
            if output.topic == DECISIONS:
                received_ms = next((v for name, v in reversed(output.headers) if name == RECEIVED_HEADER), b"0")
                metrics.end_to_end_s.observe(max(0.0, now_s - int(received_ms) / 1000))
            elif output.topic == DEAD_LETTERS:
                metrics.dead_letters.labels(dict(output.headers)[REASON_HEADER].decode()).inc()

    # -- probes -------------------------------------------------------------------------------------

    def _live(self) -> str | None:
        return None

    def _ready(self) -> str | None:
        if not self._open:
            return "partitions are being recovered or moved"
        try:
            self.registry.in_force()
        except StateNotReadyError as missing:
            return str(missing)
        return None

    def _lags(self) -> list[tuple[str, int, int]]:
        if self._consumer is None:
            return []
        lags: list[tuple[str, int, int]] = []
        for partition in self.consumer.owned_partitions():
            if partition.committable is not None:
                end = self.consumer.highwater(TP(*partition.tp))
                lags.append((partition.tp.topic, partition.tp.partition, max(0, end - partition.committable)))
        return lags


def make_app(settings: Settings) -> StopbankApp:
    """A worker's app: routers on what comes in, stations on sightings, desks on assessments."""
    configure_logging(settings.log_format, settings.log_level)
    app = StopbankApp(settings)
    prefix = settings.topic_prefix

    def finish(run: Run) -> None:
        app.consumer.finish(run)

    max_ahead_ms = settings.max_ahead_s * 1000
    for topic in topics.INCOMING:
        router = Router(topic, app.registry, max_ahead_ms)
        pipeline = RunPipeline(
            app.engine, finish, stateless=router, wait_ready=app.wait_ready, observe=app.note_outputs
        )
        _agent(app, prefix + topic, f"router-{topic}", pipeline)
    folds: dict[str, Callable[[int], Any]] = {
        topics.SIGHTINGS: lambda _: Station(app.registry),
        topics.ASSESSMENTS: lambda _: Desk(app.registry, app.note_decision),
    }
    for topic, state in topics.STATE_OF.items():
        table = app.fold_table(topic, prefix + topic, prefix + state, folds[topic])
        pipeline = RunPipeline(app.engine, finish, table=table, wait_ready=app.wait_ready, observe=app.note_outputs)
        _agent(app, prefix + topic, "station" if topic == topics.SIGHTINGS else "desk", pipeline)
    return app


def _agent(app: StopbankApp, topic: str, name: str, pipeline: RunPipeline) -> None:
    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            await pipeline.process(event.value)

    app.agent(app.run_topic(topic), name=name)(take)
