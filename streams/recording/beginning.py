"""Where a recording begins: with state that once was, and with every record that the state has not seen.

The changelogs are recorded first, from their first offset to their end; what they add up to knows the source
offset that it has seen, its fence. `sightings` and `assessments` are recorded from behind their fences.
What desks write is written before the state that knows of it, so decisions on the first assessments may lie in
their topic already: they, and what else desks write, are looked for by time. Everything else is recorded from its
first offset.
"""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import topics
from streams.engine.changelog import NO_FENCE, ChangelogCorruptError, ChangelogImage
from streams.recording.errors import RecordingError
from streams.recording.feed import Feed
from streams.recording.manifest import TopicEntry
from streams.recording.recorded import CHANGELOGS, COMPACTED, FROM_DESKS, RECORDED
from streams.recording.writer import RecordingWriter

# How far the clocks of workers may lie apart.
_CLOCKS_MS: Final = 60_000
_FIRST_WAIT_S: Final = 30.0

Offsets = dict[TopicPartition, int]


class Beginning:
    """Begins one recording."""

    def __init__(
        self, consumer: AIOKafkaConsumer, feed: Feed, writer: RecordingWriter, counts: Mapping[str, int]
    ) -> None:
        self._consumer = consumer
        self._feed = feed
        self._writer = writer
        self._counts = counts
        # By changelog partition, as they are read to their ends: the fence, and where that was.
        self._fences: Offsets = {}
        self._state_ends: Offsets = {}

    async def begin(self, on_fetched: Callable[[], bool]) -> bool:
        """Record the state and say in the manifest where all topics begin; nothing is committed.

        `on_fetched` is asked after each fetch whether to go on. Returns whether it came to the end.
        Raises RecordingError where a source no longer holds what its state has not seen.
        """
        earliest = await self._consumer.beginning_offsets([tp for topic in RECORDED for tp in self._tps(topic)])
        self._writer.add_topics({name: self._entry(name, earliest) for name in CHANGELOGS})
        if not await self._read_state(on_fetched):
            return False
        begins = dict(earliest)
        if any(fence != NO_FENCE for fence in self._fences.values()):
            for source in topics.STATE_OF:
                begins |= self._behind_the_state(source, earliest)
            begins |= await self._first_results(begins)
        self._writer.add_topics({name: self._entry(name, begins) for name in RECORDED})
        return True

    def _tps(self, topic: str) -> list[TopicPartition]:
        return [self._feed.tp(topic, partition) for partition in range(self._counts[topic])]

    def _entry(self, topic: str, begins: Offsets) -> TopicEntry:
        tps = self._tps(topic)
        state = [self._state_ends[tp] for tp in tps] if topic in CHANGELOGS and self._state_ends else None
        return TopicEntry(begin_offsets=[begins[tp] for tp in tps], dense=topic not in COMPACTED, state_offsets=state)

    async def _read_state(self, on_fetched: Callable[[], bool]) -> bool:
        images = {tp: ChangelogImage() for tp in await self._feed.assign(CHANGELOGS)}
        ends = await self._consumer.end_offsets(list(images))
        while images:
            fetched = await self._feed.fetch(list(images), ends)
            for tp, records in fetched.items():
                try:
                    images[tp].apply(records)
                except ChangelogCorruptError as error:
                    raise RecordingError(f"{tp.topic}, partition {tp.partition}: not a changelog: {error}") from None
            for tp in list(images):
                # An end lies between two batches, and so between two runs; what comes behind it comes later.
                if await self._feed.position(tp) >= ends[tp]:
                    self._state_ends[tp], self._fences[tp] = ends[tp], images.pop(tp).fence
            if not on_fetched():
                return False
        return True

    def _behind_the_state(self, source: str, earliest: Offsets) -> Offsets:
        """Where a source begins, by partition."""
        begins: Offsets = {}
        for tp in self._tps(source):
            fence = self._fences[self._feed.tp(topics.STATE_OF[source], tp.partition)]
            begins[tp] = fence + 1 if fence != NO_FENCE else earliest[tp]
            if begins[tp] < earliest[tp]:
                raise RecordingError(
                    f"{tp.topic}, partition {tp.partition}: its state has seen what lies before offset "
                    f"{begins[tp]}, and the topic begins at {earliest[tp]}: retention deleted what lies between "
                    "unread. Start workers, and record when they are done with new purchases"
                )
        return begins

    async def _first_results(self, begins: Offsets) -> Offsets:
        """Where begins what desks write: decisions on the first recorded assessments may be written already."""
        # Asked for in this order: what is assessed later than that is decided later than that, too.
        ends: Offsets = await self._consumer.end_offsets([tp for topic in FROM_DESKS for tp in self._tps(topic)])
        assessed: Offsets = await self._consumer.end_offsets(self._tps(topics.ASSESSMENTS))
        waiting = {tp: begins[tp] for tp, end in assessed.items() if begins[tp] < end}
        if not waiting:
            return ends
        since_ms = max(0, min((await self._timestamps_at(waiting)).values()) - _CLOCKS_MS)
        found: dict[TopicPartition, Any] = await self._consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
        return {tp: found[tp].offset if found.get(tp) is not None else end for tp, end in ends.items()}

    async def _timestamps_at(self, offsets: Offsets) -> Offsets:
        """When the records at these offsets were written, by the topics' timestamps."""
        missing, timestamps = set(offsets), Offsets()
        self._consumer.assign(list(offsets))
        for tp, offset in offsets.items():
            self._consumer.seek(tp, offset)
        try:
            async with asyncio.timeout(_FIRST_WAIT_S):
                while missing:
                    for tp, batch in (await self._consumer.getmany(*missing, timeout_ms=200, max_records=1)).items():
                        timestamps[tp] = batch[0].timestamp
                        missing.discard(tp)
        except TimeoutError:
            tp = min(missing)
            raise RecordingError(
                f"{tp.topic}, partition {tp.partition}: no record came from offset {offsets[tp]} on: is the broker up?"
            ) from None
        return timestamps
