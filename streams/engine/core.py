"""The producer, the tables and the rules of ownership that the parts of a worker share."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from streams.engine.changelog import ChangelogImage
from streams.engine.pause_guard import PauseGuard
from streams.engine.produce_codec import produce_quickly
from streams.engine.quick_sender import send_quickly
from streams.engine.tables import FoldPartition, FoldTable
from streams.engine.writer import BatchWriter
from streams.errors import PlainError
from streams.reconnect import unhurried

log = structlog.get_logger(__name__)

MAX_OUTPUT_BATCH_BYTES = 900_000
# Changelog topics are created with a larger message limit: a run's state must lie in one batch.
MAX_STATE_BATCH_BYTES = 12_000_000

_DAY_MS = 86_400_000


class StateLostError(Exception):
    """Offsets were committed for state that the changelog no longer holds."""


class TopicMissingError(PlainError):
    """A topic that the worker needs does not exist, or not with as many partitions as it must have."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine needs to know of its surroundings.

    `client` holds aiokafka options that every client shares, `targets` maps the logical name of a topic that is
    written to its own; `sources` are the topics that are read, beside those with a table.
    """

    group_id: str
    client: Mapping[str, Any]
    targets: Mapping[str, str]
    sources: Sequence[str] = ()
    session_timeout_s: float = 10.0
    fetch_wait_ms: int = 50
    linger_ms: int = 0
    idempotent: bool = True
    group_instance_id: str | None = None
    compression: str | None = None
    # See OwnedPartition.
    hole_patience_s: float = 0.0
    # How far apart requests leave at least, and how long state waits for outputs to leave with: see BatchWriter.
    output_gap_ms: float = 0.0
    state_lull_ms: float = 25.0
    stall_s: float = 30.0
    drain_s: float = 8.0


class Engine:
    """What the consumer and the pipelines of one worker have in common."""

    def __init__(self, config: EngineConfig, fail: Callable[[BaseException], None]) -> None:
        self.config = config
        self.fail = fail
        self.tables: dict[str, FoldTable] = {}
        # Below the session: a heartbeat may be some seconds old when a pause begins.
        self.pause_guard = PauseGuard(config.session_timeout_s * 0.8)
        # For outputs and state, which leave in one request where they can.
        self.writer: BatchWriter
        self._producer: AIOKafkaProducer | None = None
        # By logical name: the name and partition count of a topic to write to.
        self.targets: dict[str, tuple[str, int]] = {}

    @property
    def stall_s(self) -> float:
        """How long a recovery may stand still, in seconds."""
        return self.config.stall_s

    @property
    def drain_s(self) -> float:
        """How long runs in flight are waited for when partitions are given up, in seconds."""
        return self.config.drain_s

    def client_options(self) -> dict[str, Any]:
        """aiokafka options that every client shares."""
        return dict(self.config.client)

    def consumer_options(self) -> dict[str, Any]:
        """aiokafka options of the group consumer."""
        session_ms = int(self.config.session_timeout_s * 1000)
        return {
            **self.client_options(),
            "group_id": self.config.group_id,
            "group_instance_id": self.config.group_instance_id,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": session_ms // 3,
            "rebalance_timeout_ms": max(session_ms, int(self.drain_s * 1000) + 5_000),
            # Whether records are taken is for /livez to say; a full worker that waits for a ruleset stays in the group.
            "max_poll_interval_ms": _DAY_MS,
            "fetch_max_wait_ms": self.config.fetch_wait_ms,
        }

    async def start(self) -> None:
        """Start the producer.

        Raises TopicMissingError, and aiokafka's errors where no broker answers.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        producer = self._producer = self._new_producer()
        await producer.start()
        self.writer = BatchWriter(
            producer,
            self.fail,
            most_bytes=MAX_OUTPUT_BATCH_BYTES,
            most_together_bytes=MAX_STATE_BATCH_BYTES,
            gap_s=self.config.output_gap_ms / 1000,
            lull_s=self.config.state_lull_ms / 1000,
        )
        counts = await self._partition_counts(producer)
        self.targets = {logical: (name, counts[name]) for logical, name in self.config.targets.items()}
        for source, table in self.tables.items():
            changelog = table.changelog_tp(0).topic
            if counts[source] != counts[changelog]:
                raise TopicMissingError(
                    f"{source} has {counts[source]} partitions and {changelog} has {counts[changelog]}, and state lies "
                    "beside its source: `stopbank doctor` says what to do"
                )

    async def _partition_counts(self, producer: AIOKafkaProducer) -> dict[str, int]:
        """How many partitions each topic has that is needed. Raises TopicMissingError."""
        # Asked for by name, a topic may be created on the spot; asked for all, a broker names those it has.
        cluster: Any = await producer.client.fetch_all_metadata()
        needed = {*self.config.targets.values(), *self.config.sources, *self.tables}
        needed |= {table.changelog_tp(0).topic for table in self.tables.values()}
        absent = sorted(needed - set(cluster.topics()))
        if absent:
            raise TopicMissingError(f"missing topics: {', '.join(absent)}: run `stopbank topics create`")
        return {name: len(cluster.partitions_for_topic(name)) for name in needed}

    async def stop(self) -> None:
        """Flush and close the producer, started or not."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    def _new_producer(self) -> AIOKafkaProducer:
        producer = unhurried(
            AIOKafkaProducer(
                **self.client_options(),
                acks="all",
                enable_idempotence=self.config.idempotent,
                linger_ms=self.config.linger_ms,
                max_request_size=2 * MAX_STATE_BATCH_BYTES,
                compression_type=self.config.compression,
            )
        )
        produce_quickly(producer)
        send_quickly(producer)
        return producer

    def table_of(self, tp: TopicPartition) -> FoldTable | None:
        """The table that folds this source topic."""
        return self.tables.get(tp.topic)

    def changelog_of(self, tp: TopicPartition) -> TopicPartition | None:
        """The changelog partition behind a source partition, None for a stateless one."""
        table = self.table_of(tp)
        return table.changelog_tp(tp.partition) if table is not None else None

    def held(self, tp: TopicPartition) -> FoldPartition | None:
        """The fold in memory for a source partition."""
        table = self.table_of(tp)
        return table.partitions_held.get(tp.partition) if table is not None else None

    def install(self, tp: TopicPartition, image: ChangelogImage, end: int) -> FoldPartition:
        """Build the fold of a source partition from its changelog."""
        table = self.table_of(tp)
        assert table is not None
        return table.install(tp.partition, image, end)

    async def repair(self, changelog: TopicPartition, image: ChangelogImage) -> int:
        """Put right what was overwritten in a changelog; returns how many records that took."""
        repairs = image.repairs()
        deliveries = self.writer.extend(changelog.topic, changelog.partition, repairs)
        self.writer.send()
        for delivery in deliveries:
            await delivery
        return len(repairs)

    def forget_fold(self, tp: TopicPartition) -> None:
        """Drop a fold whose memory may be ahead of its changelog."""
        table = self.table_of(tp)
        if table is not None:
            table.partitions_held.pop(tp.partition, None)

    def keep_only(self, assigned: set[TopicPartition]) -> None:
        """Drop the folds of partitions that went elsewhere."""
        for table in self.tables.values():
            mine = {tp.partition for tp in assigned if tp.topic == table.source_topic}
            for partition in set(table.partitions_held) - mine:
                del table.partitions_held[partition]

    def verify_fence(self, tp: TopicPartition, committed: int | None, fence_end: int) -> None:
        """Raise StateLostError where offsets were committed that the changelog knows nothing of."""
        changelog = self.changelog_of(tp)
        if changelog is None or (committed or 0) <= fence_end:
            return
        raise StateLostError(
            f"{tp.topic}-{tp.partition} is committed up to {committed}, but its state in "
            f"{changelog.topic}-{changelog.partition} reaches only {fence_end}: the changelog was "
            f"truncated or replaced. Restore it, or stop all workers and delete the offsets of group "
            f"{self.config.group_id} for {tp.topic}: what is still in the topic is then decided anew"
        )
