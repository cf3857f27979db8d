"""The worker: a Faust app with an agent for each topic that is read, and the pure steps behind them."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP

from models.reconciliation import Reconciliation
from rules.dead_letter import DEAD_LETTERS, REASON_HEADER
from rules.desk import Desk
from rules.desk_outputs import DECISIONS, received_ms_of
from rules.fold import Output, StateNotReadyError
from rules.router import Router
from rules.station import Station
from rules.tally import Tally
from streams import topics
from streams.engine.app import EngineApp
from streams.engine.core import EngineConfig
from streams.engine.partition import Run
from streams.engine.partitioner import partition_for
from streams.engine.pipeline import RunPipeline
from streams.health import HealthServer
from streams.logs import configure_logging
from streams.metrics import DIFFERS, WorkerMetrics
from streams.rulesets import Registry, follow
from streams.settings import Settings

log = structlog.get_logger(__name__)

# No broker holds an acknowledgement back for so long: whoever waits for one longer is stuck.
_STUCK_S: Final = 300.0
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
            sources=[prefix + name for name in (*topics.INCOMING, topics.RULESETS)],
            session_timeout_s=settings.session_timeout_s,
            fetch_wait_ms=settings.fetch_wait_ms,
            linger_ms=settings.linger_ms,
            idempotent=settings.idempotent,
            hole_patience_s=settings.hole_patience_s,
            output_gap_ms=settings.linger_ms,
            group_instance_id=settings.group_instance_id,
            compression=None if settings.compression == "none" else settings.compression,
        )
        super().__init__("stopbank", config, autodiscover=False)
        self.settings = settings
        self.registry = Registry(settings.ruleset)
        self.metrics = WorkerMetrics(self._lags)
        self._health = HealthServer(self.metrics.registry, self._live, self._ready)
        # Given to the metrics once a run: a labelled counter costs as much as a rule.
        self.tally = Tally()
        self._open = False
        self._waiting = False
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
                await follow(self.settings, self.registry)
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
        self._waiting = True
        await self.registry.wait_changed()
        self._waiting = False

    def note_answer(self, reconciliation: Reconciliation | None) -> None:
        """Count a degraded answer that was reconciled; None is one that never was."""
        if reconciliation is None:
            self.metrics.unreconciled.inc()
        else:
            self.metrics.reconciliations.labels(DIFFERS[reconciliation.differs]).inc()

    def note_outputs(self, run: Run, outputs: Sequence[Output]) -> None:
        """Count what a run has brought, now that it is acknowledged."""
        metrics, now_ms = self.metrics, int(time.time() * 1000)
        metrics.in_process_s.observe(time.monotonic() - run.taken_s, len(run.records))
        self._note_tally()
        # Many purchases of a run came in the same millisecond: what tells it is read once.
        received = Counter([headers[-1] for topic, _, _, headers, _, _ in outputs if topic == DECISIONS])
        for header, count in received.items():
            metrics.end_to_end_s.observe(max(0, now_ms - received_ms_of((header,))) / 1000, count)
        for letter in [output for output in outputs if output[0] == DEAD_LETTERS]:
            metrics.dead_letters.labels(dict(letter.headers)[REASON_HEADER].decode()).inc()

    def _note_tally(self) -> None:
        metrics, tally = self.metrics, self.tally
        for action, count in tally.by_action().items():
            metrics.decisions.labels(action).inc(count)
        for (rule, mode), count in tally.rule_hits.items():
            metrics.rule_hits.labels(rule, mode).inc(count)
        metrics.late.inc(tally.late)
        metrics.repeats.inc(tally.repeats)
        tally.clear()

    # -- probes -------------------------------------------------------------------------------------

    def _live(self) -> str | None:
        """Why the process should be started again; it waits for a broker or a ruleset as long as it takes."""
        if self._consumer is None or self._waiting:
            return None
        stuck_s = self.consumer.stuck_s()
        return f"nothing has been finished for {stuck_s:.0f} s" if stuck_s > _STUCK_S else None

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

    def assessments_partition(key: bytes) -> int:
        return partition_for(key, app.engine.targets[topics.ASSESSMENTS][1])

    max_ahead_ms = settings.max_ahead_s * 1000
    for topic in topics.INCOMING:
        router = Router(topic, app.registry, assessments_partition, max_ahead_ms)
        pipeline = RunPipeline(
            app.engine, finish, stateless=router, wait_ready=app.wait_ready, observe=app.note_outputs
        )
        _agent(app, prefix + topic, f"router-{topic}", pipeline)
    folds: dict[str, Callable[[int], Any]] = {
        topics.SIGHTINGS: lambda _: Station(app.registry),
        topics.ASSESSMENTS: lambda _: Desk(app.registry, app.tally, max_ahead_ms, app.note_answer),
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
