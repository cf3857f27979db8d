"""From a consumer into a recording: each offset once, in order, and nothing passed over."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from rules.fold import Record, SourceRecord
from streams import topics
from streams.clients import consumer_client
from streams.recording.errors import RecordingError
from streams.recording.holes import Holes
from streams.recording.writer import RecordingWriter
from streams.settings import Settings

_POLL_MS: Final = 200
_MAX_RECORDS: Final = 20_000
_FETCH_BYTES: Final = 8 * 1024 * 1024


@asynccontextmanager
async def recording_consumer(settings: Settings) -> AsyncGenerator[AIOKafkaConsumer]:
    """A consumer of no group that nothing is assigned to yet. Raises BrokerUnreachableError."""
    # Where an offset is gone, it is told, never jumped over.
    async with consumer_client(settings, auto_offset_reset="none", fetch_max_bytes=_FETCH_BYTES) as consumer:
        yield consumer


class Feed:
    """Takes what a consumer fetches into a writer.

    `anchors` holds the last recorded record of partitions that are gone on with: a topic that was made anew
    has another in its place.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        writer: RecordingWriter,
        settings: Settings,
        anchors: Mapping[tuple[str, int], Record],
    ) -> None:
        self._consumer = consumer
        self._writer = writer
        self._prefix = settings.topic_prefix
        self._patience_s = settings.hole_patience_s
        self._anchors = dict(anchors)
        self._holes = Holes(settings.hole_patience_s)
        self.taken = 0

    def tp(self, topic: str, partition: int) -> TopicPartition:
        """A partition as the broker names it."""
        return TopicPartition(self._prefix + topic, partition)

    def topic_of(self, tp: TopicPartition) -> str:
        """The logical name of its topic."""
        return tp.topic.removeprefix(self._prefix)

    async def assign(self, names: Collection[str]) -> list[TopicPartition]:
        """Read these topics, each partition from where the recording ends. Raises RecordingError."""
        counts = {name: self._writer.manifest.topics[name].partitions for name in names}
        tps = [self.tp(name, partition) for name in names for partition in range(counts[name])]
        earliest = await self._consumer.beginning_offsets(tps)
        starts: dict[TopicPartition, int] = {}
        for tp in tps:
            due = self._writer.position(self.topic_of(tp), tp.partition)
            if due < earliest[tp]:
                raise self._gone(tp, due, earliest[tp])
            anchor = self._anchors.get((self.topic_of(tp), tp.partition))
            starts[tp] = anchor.offset if anchor is not None and anchor.offset >= earliest[tp] else due
        await self._verify_ends(tps)
        # Without a wait in between: a partition that is assigned and has no place is an error to the client.
        self._consumer.assign(tps)
        for tp, start in starts.items():
            self._consumer.seek(tp, start)
        return tps

    async def fetch(
        self, tps: Collection[TopicPartition] = (), ends: Mapping[TopicPartition, int] | None = None
    ) -> Mapping[TopicPartition, Sequence[SourceRecord]]:
        """Fetch once, from these partitions or all, and give the writer what is next; returns what that was.

        What lies at its `ends` or beyond is left for later. Raises RecordingError for offsets that are gone.
        """
        try:
            batches: Any = await self._consumer.getmany(*tps, timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
        except OffsetOutOfRangeError as error:
            raise await self._out_of_range(error) from None
        return {tp: self._take(tp, batch, (ends or {}).get(tp)) for tp, batch in batches.items()}

    async def position(self, tp: TopicPartition) -> int:
        """How far a partition was read, holes included."""
        return await self._consumer.position(tp)

    def lag(self) -> int:
        """How many offsets lie between what was taken and the ends, as far as these are known."""
        behind = 0
        for tp in self._consumer.assignment():
            end = self._consumer.highwater(tp)
            if end is not None:
                behind += max(0, end - self._writer.position(self.topic_of(tp), tp.partition))
        return behind

    def _take(self, tp: TopicPartition, batch: Sequence[SourceRecord], end: int | None) -> Sequence[SourceRecord]:
        topic = self.topic_of(tp)
        due = self._writer.position(topic, tp.partition)
        if batch[0].offset < due:
            self._verify_anchor(topic, tp.partition, batch[0])
            batch = [record for record in batch if record.offset >= due]
        self._anchors.pop((topic, tp.partition), None)
        if end is not None:
            batch = [record for record in batch if record.offset < end]
        batch, reread_from = self._holes.judge(tp, batch, due, time.monotonic())
        if reread_from is not None:
            self._consumer.seek(tp, reread_from)
        if batch and batch[-1].offset - due >= len(batch) and self._may_have_holes(topic):
            self._writer.allow_holes(topic)
        for record in batch:
            self._writer.append(topic, record)
        self.taken += len(batch)
        return batch

    def _may_have_holes(self, topic: str) -> bool:
        """Whether offsets are missing in good order: others write there, and their transactions' ends take offsets."""
        # Retention takes beginnings away, never from between: that is told before it comes to this. A broker that shows
        # records late is trusted less.
        return topic in topics.INCOMING and not self._patience_s

    def _verify_anchor(self, topic: str, partition: int, record: SourceRecord) -> None:
        anchor = self._anchors.get((topic, partition))
        if anchor is None or anchor.offset != record.offset:
            return
        if (anchor.timestamp, anchor.key, anchor.value) != (record.timestamp, record.key, record.value):
            raise RecordingError(
                f"{self._prefix}{topic}, partition {partition}: offset {record.offset} holds another record than was "
                "recorded: the topic was made anew: begin a new recording"
            )

    async def _verify_ends(self, tps: Collection[TopicPartition]) -> None:
        """Raises RecordingError where a topic ends before what was recorded of it."""
        # Some brokers report an end late.
        told_until_s = time.monotonic() + self._patience_s
        while True:
            ends = await self._consumer.end_offsets(tps)
            short = [tp for tp in tps if ends[tp] < self._writer.position(self.topic_of(tp), tp.partition)]
            if not short:
                return
            if time.monotonic() >= told_until_s:
                tp = short[0]
                due = self._writer.position(self.topic_of(tp), tp.partition)
                raise RecordingError(
                    f"{tp.topic}, partition {tp.partition}: ends at offset {ends[tp]}, and is recorded up to {due}: "
                    "the topic was made anew: begin a new recording"
                )

    async def _out_of_range(self, error: OffsetOutOfRangeError) -> RecordingError:
        offsets: dict[TopicPartition, int] = error.args[0]
        tp, due = next(iter(offsets.items()))
        await self._verify_ends([tp])
        return self._gone(tp, due, (await self._consumer.beginning_offsets([tp]))[tp])

    def _gone(self, tp: TopicPartition, due: int, earliest: int) -> RecordingError:
        return RecordingError(
            f"{tp.topic}, partition {tp.partition}: offset {due} is due and the topic begins at {earliest}: "
            f"retention deleted what lies between before it was recorded: what is recorded stays; begin a new recording"
        )
