"""Opening partitions after a rebalance: each as soon as its fold is read back, where the first record is not done."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.changelog import ChangelogImage
from streams.engine.core import Engine
from streams.engine.partition import OwnedPartition
from streams.engine.recovery import ChangelogReader
from streams.process import collector_at_rest

log = structlog.get_logger(__name__)

# Hears of records that retention removed before they were read: the partition, and how many.
OnExpired = Callable[[TopicPartition, int], None]


class Opening:
    """Opens the partitions of one assignment; cancelled when the next one begins."""

    def __init__(self, engine: Engine, group: AIOKafkaConsumer, owned: Mapping[TopicPartition, OwnedPartition]) -> None:
        self._engine = engine
        self._group = group
        self._owned = dict(owned)

    async def open_all(self, on_expired: OnExpired) -> None:
        """Open every partition. Raises StateLostError, RecoveryStalledError and aiokafka's errors."""
        engine = self._engine
        changelogs = {changelog: tp for tp in self._owned if (changelog := engine.changelog_of(tp)) is not None}
        for tp in set(self._owned) - set(changelogs.values()):
            await self._open(tp, 0, on_expired)
        reader = ChangelogReader(engine.client_options, engine.stall_s)
        for changelog in await self._unmoved(reader, changelogs):
            tp = changelogs.pop(changelog)
            held = engine.held(tp)
            assert held is not None
            await self._open(tp, held.fence + 1, on_expired)
        if changelogs:
            with collector_at_rest():
                async for changelog, image, end in reader.read(changelogs.keys()):
                    await self._open_recovered(changelogs[changelog], changelog, image, end, on_expired)

    async def _open_recovered(
        self, tp: TopicPartition, changelog: TopicPartition, image: ChangelogImage, end: int, on_expired: OnExpired
    ) -> None:
        engine = self._engine
        held = engine.install(tp, image, end)
        engine.pause_guard.touch()
        repaired = await engine.repair(changelog, image)
        if repaired:
            held.changelog_end = None
        log.info("recovered", partition=str(tp), records=len(image), fence=held.fence, repaired=repaired)
        await self._open(tp, held.fence + 1, on_expired)

    async def _unmoved(
        self, reader: ChangelogReader, changelogs: Mapping[TopicPartition, TopicPartition]
    ) -> list[TopicPartition]:
        """Changelogs that nobody has written to since their fold, still in memory, was given up."""
        kept = {c: held for c, tp in changelogs.items() if (held := self._engine.held(tp)) is not None}
        if not kept:
            return []
        ends = await reader.end_offsets(kept)
        return [
            changelog
            for changelog, held in kept.items()
            if held.changelog_end == ends[changelog] and held.fence == held.durable_fence
        ]

    async def _open(self, tp: TopicPartition, fence_end: int, on_expired: OnExpired) -> None:
        partition = self._owned[tp]
        committed = await self._group.committed(tp)
        earliest = (await self._group.beginning_offsets([tp]))[tp]
        self._engine.verify_fence(tp, committed, fence_end)
        start = max(committed or 0, fence_end)
        if start < earliest:
            if committed is not None or fence_end:
                log.error("records expired unread", partition=str(tp), missing=earliest - start, at=start)
                on_expired(tp, earliest - start)
            start = earliest
        if partition.closed:
            return
        self._group.seek(tp, start)
        partition.committed = committed
        partition.open(start)
        self._group.resume(tp)
