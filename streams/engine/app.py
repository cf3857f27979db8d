"""A Faust app that runs on the engine: its transport, its tables, its producer, its clean end."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import faust
import structlog
from aiokafka import TopicPartition
from faust.app.base import BootStrategy

from rules.fold import Fold
from streams.engine.consumer import RunConsumer
from streams.engine.core import Engine, EngineConfig, TopicMissingError
from streams.engine.pause_guard import PausedError
from streams.engine.run import RunSchema
from streams.engine.tables import FoldTable, FoldTableManager
from streams.engine.transport import RunTransport
from streams.process import EXIT_CONFIG, EXIT_FAULT

log = structlog.get_logger(__name__)


class _EngineBoot(BootStrategy):
    """Starts what the engine needs of Faust: no producer, reply consumer, leader assignor, sensors or web server."""

    enable_sensors = False

    def kafka_consumer(self) -> Any:
        return [self.app.consumer]

    def kafka_producer(self) -> Any:
        return []

    def web_server(self) -> Any:
        return []


class EngineApp(faust.App):
    """A Faust app whose agents take runs of records."""

    BootStrategy = _EngineBoot
    # Faust has a property here, of the type of its own consumers.
    consumer: RunConsumer  # pyright: ignore[reportIncompatibleMethodOverride]
    engine: Engine

    def __init__(self, app_id: str, config: EngineConfig, **options: Any) -> None:
        super().__init__(
            app_id,
            broker=f"kafka://{config.client['bootstrap_servers']}",
            TableManager=FoldTableManager,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            **options,
        )
        self.engine = Engine(config, self.fail)

    def on_init_dependencies(self) -> Any:
        """What Faust starts, without its own monitor: nobody asks it, and it takes notes four times for each run."""
        dependencies = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        return dependencies

    async def on_start(self) -> None:
        """Start the producer before anything is consumed."""
        await super().on_start()
        try:
            await self.engine.start()
        except TopicMissingError as missing:
            # Nothing that is tried again: told plainly, for a person to mend.
            log.critical("can't start", reason=str(missing))
            os._exit(EXIT_CONFIG)
        self.engine.pause_guard.touch()
        self.add_future(self._watch_for_pauses())

    async def _watch_for_pauses(self) -> None:
        try:
            await self.engine.pause_guard.watch()
        except PausedError as paused:
            self.fail(paused)

    async def on_stop(self) -> None:
        """Finish and commit what is in flight, then close the producer; the group is left after that."""
        await super().on_stop()
        await self.engine.stop()

    def run_topic(self, name: str) -> Any:
        """A topic whose records reach its agent as runs."""
        return self.topic(name, schema=RunSchema())

    def fold_table(self, name: str, source: str, changelog: str, new_fold: Callable[[int], Fold]) -> FoldTable:
        """Declare a table that folds the topic `source` and keeps its state in the topic `changelog`."""
        table = FoldTable(
            self, name=name, changelog_topic=self.topic(changelog), key_type=bytes, value_type=bytes
        ).declare(source, new_fold)
        self.tables.add(table)
        self.engine.tables[source] = table
        return table

    def fail(self, failure: BaseException) -> None:
        """End the process at once, as a crash would, on a fault that no retry mends.

        Its supervisor starts it again, and the fences see to it that nothing is lost or doubled.
        """
        log.critical("fatal fault, ending the process", error=repr(failure), exc_info=failure)
        os._exit(EXIT_FAULT)

    def on_ownership_change(self, *, ready: bool) -> None:
        """Hear of partitions given up (not ready) and of all of them open (ready)."""

    def on_expired(self, tp: TopicPartition, records: int) -> None:
        """Hear of records that retention removed before they were read."""

    def _new_transport(self) -> RunTransport:
        return RunTransport(self.conf.broker_consumer, self)

    async def _stop_consumer(self) -> None:
        if self._consumer is not None:
            await self.consumer.drain()
