"""Reads changelog partitions from their beginning to their end, as fast as the broker gives them."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.changelog import ChangelogImage
from streams.engine.fetched import unpack_at_once
from streams.reconnect import unhurried

_POLL_MS = 200
# A broker that wakes nobody (the embedded one) answers an empty fetch after this long.
_FETCH_WAIT_MS = 20


class RecoveryStalledError(Exception):
    """No changelog record came for longer than the watchdog allows."""


class ChangelogReader:
    """Reads whole changelog partitions; `client_options` are those of an aiokafka consumer."""

    def __init__(self, client_options: Callable[[], dict[str, Any]], stall_s: float) -> None:
        self._client_options = client_options
        self._stall_s = stall_s

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset behind the last record, for each partition."""
        async with self._consumer() as consumer:
            return await consumer.end_offsets(list(tps))

    async def read(self, tps: Iterable[TopicPartition]) -> AsyncIterator[tuple[TopicPartition, ChangelogImage, int]]:
        """Yield each partition when it is read to its end: its image and the offset behind it.

        Raises RecoveryStalledError when nothing moves even after a second start.
        """
        missing = set(tps)
        for attempt in (1, 2):
            try:
                async for done in self._read(missing):
                    missing.discard(done[0])
                    yield done
                return
            except RecoveryStalledError:
                if attempt == 2:
                    raise

    async def _read(self, tps: set[TopicPartition]) -> AsyncIterator[tuple[TopicPartition, ChangelogImage, int]]:
        images = {tp: ChangelogImage() for tp in tps}
        if not images:
            return
        async with self._consumer() as consumer:
            unpack_at_once(consumer)
            consumer.assign(list(images))
            ends: dict[TopicPartition, int] = await consumer.end_offsets(list(images))
            # A seek to a number: `seek_to_beginning` loses against the reset that `assign` sets off.
            for tp, beginning in (await consumer.beginning_offsets(list(images))).items():
                consumer.seek(tp, beginning)
            moved_at = time.monotonic()
            while images:
                batches = await consumer.getmany(timeout_ms=_POLL_MS)
                for tp, batch in batches.items():
                    # The next fetch gets on its way meanwhile.
                    await asyncio.sleep(0)
                    images[tp].apply(batch)
                if batches:
                    moved_at = time.monotonic()
                elif time.monotonic() - moved_at > self._stall_s:
                    raise RecoveryStalledError(f"no progress on {sorted(images)}")
                for tp in [tp for tp in images if tp not in batches]:
                    # Only a fetch that came back empty proves the end: some brokers report the end
                    # short of the last batch.
                    position = await consumer.position(tp)
                    if position >= ends[tp]:
                        consumer.pause(tp)
                        yield tp, images.pop(tp), position

    def _consumer(self) -> _ManualConsumer:
        return _ManualConsumer(
            {
                **self._client_options(),
                "group_id": None,
                "enable_auto_commit": False,
                "fetch_max_wait_ms": _FETCH_WAIT_MS,
            }
        )


class _ManualConsumer:
    """An aiokafka consumer that is stopped whatever happens, also when its start is cancelled."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> AIOKafkaConsumer:
        consumer = unhurried(AIOKafkaConsumer(**self._options))
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        return consumer

    async def __aexit__(self, *_: object) -> None:
        if self._consumer is not None:
            await asyncio.shield(self._consumer.stop())
