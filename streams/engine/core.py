"""The producers, the tables and the rules of ownership that the parts of a worker share."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from streams.engine.changelog import ChangelogImage
from streams.engine.tables import FoldPartition, FoldTable
from streams.engine.writer import BatchWriter

log = structlog.get_logger(__name__)

MAX_OUTPUT_BATCH_BYTES = 900_000
# Changelog topics are created with a larger message limit: a run's state must lie in one batch.
MAX_STATE_BATCH_BYTES = 12_000_000


class StateLostError(Exception):
    """Offsets were committed for state that the changelog no longer holds."""


class TopicMissingError(Exception):
    """A topic that the worker writes to does not exist."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine needs to know of its surroundings.

    `client` holds aiokafka options that every client shares, `targets` maps a logical topic to its name.
    """

    group_id: str
    client: Mapping[str, Any]
    targets: Mapping[str, str]
    session_timeout_s: float = 10.0
    fetch_wait_ms: int = 50
    linger_ms: int = 0
    idempotent: bool = True
    group_instance_id: str | None = None
    compression: str | None = None
    output_gap_ms: float = 2.0
    state_gap_ms: float = 5.0
    stall_s: float = 30.0
    drain_s: float = 8.0


class Engine:
    """What the consumer and the pipelines of one worker have in common."""

    def __init__(self, config: EngineConfig, fail: Callable[[BaseException], None]) -> None:
        self.config = config
        self.fail = fail
        self.tables: dict[str, FoldTable] = {}
        self.outputs: BatchWriter
        self.changelogs: BatchWriter
        self._producers: list[AIOKafkaProducer] = []
        self._targets: dict[str, tuple[str, int]] = {}

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
            "max_poll_interval_ms": 300_000,
            "fetch_max_wait_ms": self.config.fetch_wait_ms,
        }

    async def start(self) -> None:
        """Start both producers: one for outputs, one for state, so that neither waits for the other."""
        self.outputs = await self._writer(MAX_OUTPUT_BATCH_BYTES, self.config.output_gap_ms)
        # Nobody waits for the state but the commit of offsets.
        self.changelogs = await self._writer(MAX_STATE_BATCH_BYTES, self.config.state_gap_ms)
        for logical, name in self.config.targets.items():
            partitions = await self._producers[0].partitions_for(name)
            if not partitions:
                raise TopicMissingError(f"topic {name} does not exist: run `stopbank topics create`")
            self._targets[logical] = (name, len(partitions))

    async def stop(self) -> None:
        """Flush and close the producers."""
        for producer in self._producers:
            await producer.stop()

    async def _writer(self, max_batch_bytes: int, gap_ms: float) -> BatchWriter:
        producer = AIOKafkaProducer(
            **self.client_options(),
            acks="all",
            enable_idempotence=self.config.idempotent,
            linger_ms=self.config.linger_ms,
            max_batch_size=max_batch_bytes,
            max_request_size=2 * max_batch_bytes,
            compression_type=self.config.compression,
        )
        await producer.start()
        self._producers.append(producer)
        return BatchWriter(producer, max_batch_bytes, self.fail, gap_ms / 1000)

    def target(self, logical: str) -> tuple[str, int]:
        """The name and partition count of a topic to write to."""
        return self._targets[logical]

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
            f"truncated or replaced. Restore it, or reset the offsets of group "
            f"{self.config.group_id} for {tp.topic} to what the changelog holds"
        )
