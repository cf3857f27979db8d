"""Reads this gateway's partition of replies.

It is a consumer of no group: what is read is of use to the process that asked and to no other, now and never again,
so that there is nothing to share, to commit or to take over.
"""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from rules.reply import REPLIES, read_reply
from streams.clients import consumer_client
from streams.gateway.replies import Replies
from streams.settings import Settings


class ReplyListener:
    """Listens on one partition, from its end as it is when first reached, then on from where it was."""

    def __init__(self, settings: Settings, replies: Replies) -> None:
        self._settings = settings
        self._replies = replies
        self._next_offset: int | None = None

    async def listen(self, partition: int, on_placed: Callable[[], None]) -> None:
        """Read for good; `on_placed` hears when replies to what is asked from then on will be seen.

        Raises KafkaError when the broker is lost.
        """
        tp = TopicPartition(self._settings.topic_prefix + REPLIES, partition)
        async with consumer_client(self._settings, auto_offset_reset="latest") as consumer:
            consumer.assign([tp])
            if self._next_offset is not None:
                consumer.seek(tp, self._next_offset)
            await consumer.position(tp)
            on_placed()
            while True:
                await self._take_some(consumer)

    async def _take_some(self, consumer: AIOKafkaConsumer) -> None:
        loop = asyncio.get_running_loop()
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            now_s = loop.time()
            for record in records:
                reply = read_reply(record)
                if reply is not None:
                    self._replies.take(reply, now_s)
                self._next_offset = record.offset + 1
