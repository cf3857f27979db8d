"""From Kafka into a recording, until told to stop; stopped or killed, it goes on where the manifest ends."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from rules.fold import Record
from streams.clients import admin_client
from streams.recording.beginning import Beginning
from streams.recording.errors import RecordingError
from streams.recording.feed import Feed, recording_consumer
from streams.recording.location import Location
from streams.recording.lock import locked
from streams.recording.manifest import MANIFEST, Manifest, TopicEntry
from streams.recording.reader import Recording
from streams.recording.recorded import ADDED, COMPACTED, INPUTS, RECORDED, RESULTS
from streams.recording.writer import RecordingWriter
from streams.settings import Settings
from streams.topics import TopicsError, misfits, partition_counts, require_topics

# How often it is looked whether topics have more partitions by now, and how often in vain for one that is gone.
_LOOK_S: Final = 5.0
_LOOKS_FOR_LOST: Final = 3
# How long what was there when it was told to stop is waited for.
_STOP_S: Final = 10.0


class Progress(NamedTuple):
    """How far a recorder is: records taken, those of them that are committed, offsets behind the end."""

    taken: int
    committed: int
    segments: int
    size_bytes: int
    lag: int


class Recorder:
    """Records all topics of one prefix to one place.

    What is in memory is written when it takes `segment_bytes` or after `rotate_s`, whichever comes first.
    """

    def __init__(
        self,
        settings: Settings,
        location: str,
        *,
        segment_bytes: int,
        rotate_s: float,
        on_progress: Callable[[Progress], object] = lambda _: None,
    ) -> None:
        """Raises RecordingError for a place that can't be."""
        self._settings = settings
        self._place = Location(location)
        self._segment_bytes = segment_bytes
        self._rotate_s = rotate_s
        self._on_progress = on_progress
        # Brokers that show a record late may also report an end short of the last batch: only a fetch that came
        # back empty proves it there.
        self._ends_late = settings.hole_patience_s > 0
        self._stopping = False
        self._looked_s = self._committed_s = 0.0
        self._lost_looks = 0
        self._committed = self._size_bytes = 0
        self._consumer: AIOKafkaConsumer
        self._writer: RecordingWriter
        self._feed: Feed

    def stop(self) -> None:
        """End in order: with what is there by now, decisions last."""
        self._stopping = True

    async def run(self, *, until_end: bool = False) -> Progress:
        """Record until `stop` is called, or until what is there now is recorded.

        Raises RecordingError where offsets are missing, TopicsError, BrokerUnreachableError and other KafkaErrors;
        what was taken until then is committed.
        """
        with locked(self._place):
            counts = await self._topics()
            async with recording_consumer(self._settings) as consumer:
                self._consumer = consumer
                if not await self._open(counts):
                    return self._progress()
                try:
                    await self._record(until_end=until_end)
                except (RecordingError, TopicsError, KafkaError):
                    self._commit()
                    raise
                self._commit()
                return self._progress()

    async def _topics(self) -> dict[str, int]:
        """The partition counts of what is recorded. Raises TopicsError."""
        prefix = self._settings.topic_prefix
        async with admin_client(self._settings) as admin:
            await require_topics(admin, prefix, RECORDED)
            counts = await partition_counts(admin, prefix)
        return self._fitting({topic: counts[topic] for topic in RECORDED})

    def _fitting(self, counts: dict[str, int]) -> dict[str, int]:
        problems = misfits(counts, self._settings.topic_prefix)
        if problems:
            raise TopicsError("\n".join(problems))
        return counts

    async def _open(self, counts: dict[str, int]) -> bool:
        """Go on with a recording, or begin one; returns False where it was stopped before it had begun."""
        self._committed_s = time.monotonic()
        if self._place.exists(MANIFEST):
            self._writer = RecordingWriter.resume(self._place)
            self._verify_same()
            await self._add_topics(counts)
            self._feed = Feed(self._consumer, self._writer, self._settings, self._anchors())
            self._grow(counts)
            return True
        self._writer = RecordingWriter.create(
            self._place,
            Manifest(
                created_ms=int(time.time() * 1000),
                ruleset=self._settings.ruleset,
                max_ahead_ms=self._settings.max_ahead_s * 1000,
                topics={},
            ),
        )
        self._feed = Feed(self._consumer, self._writer, self._settings, {})
        begun = False
        try:
            begun = await Beginning(self._consumer, self._feed, self._writer, counts).begin(self._beginning_goes_on)
        finally:
            if not begun:
                self._writer.discard()
        if begun:
            self._commit()
        return begun

    def _verify_same(self) -> None:
        """Raises RecordingError where another line was recorded here than is configured."""
        manifest = self._writer.manifest
        is_recording = set(RECORDED) - ADDED <= set(manifest.topics) <= set(RECORDED)
        if manifest.slice_of is not None or not is_recording:
            raise RecordingError(f"{self._place.text}: holds a slice or an import, not a recording: name another place")
        recorded = {
            "STOPBANK_RULESET": (manifest.ruleset, self._settings.ruleset),
            "STOPBANK_MAX_AHEAD_S": (manifest.max_ahead_ms // 1000, self._settings.max_ahead_s),
        }
        for name, (then, now) in recorded.items():
            if then != now:
                raise RecordingError(
                    f"{self._place.text}: was recorded with {name}={then}, and it is {now} now: begin a new recording"
                )

    async def _add_topics(self, counts: dict[str, int]) -> None:
        """Record topics, too, that were not there yet when the recording was begun: from their first offsets."""
        added = {
            topic: [
                TopicPartition(self._settings.topic_prefix + topic, partition) for partition in range(counts[topic])
            ]
            for topic in RECORDED
            if topic not in self._writer.manifest.topics
        }
        if added:
            earliest = await self._consumer.beginning_offsets([tp for tps in added.values() for tp in tps])
            self._writer.add_topics(
                {
                    topic: TopicEntry(begin_offsets=[earliest[tp] for tp in tps], dense=True)
                    for topic, tps in added.items()
                }
            )

    def _anchors(self) -> dict[tuple[str, int], Record]:
        """The last recorded record of each partition."""
        recording = Recording(self._place, self._writer.manifest)
        anchors: dict[tuple[str, int], Record] = {}
        for topic, entry in self._writer.manifest.topics.items():
            for partition in range(entry.partitions):
                last = recording.last(topic, partition)
                if last is not None:
                    anchors[topic, partition] = last
        return anchors

    def _grow(self, counts: dict[str, int]) -> bool:
        """Take new partitions into the recording; returns whether there are any.

        Raises RecordingError for topics that were made anew, TopicsError where state would lie elsewhere.
        """
        known = self._writer.manifest.topics
        for topic, entry in known.items():
            if counts[topic] < entry.partitions:
                raise RecordingError(
                    f"{self._settings.topic_prefix}{topic}: has {counts[topic]} partitions, and {entry.partitions} "
                    "were recorded: the topic was made anew: begin a new recording"
                )
        grown = {
            topic: entry.model_copy(
                update={"begin_offsets": entry.begin_offsets + [0] * (counts[topic] - entry.partitions)}
            )
            for topic, entry in known.items()
            if counts[topic] > entry.partitions
        }
        for topic in grown:
            if topic in COMPACTED:
                raise TopicsError(
                    f"{self._settings.topic_prefix}{topic} has {counts[topic]} partitions, and was recorded with "
                    f"{known[topic].partitions}: its state lies elsewhere now: begin a new recording"
                )
        self._writer.add_topics(grown)
        return bool(grown)

    def _beginning_goes_on(self) -> bool:
        if self._writer.pending_bytes >= self._segment_bytes:
            self._writer.flush()
        self._on_progress(self._progress())
        return not self._stopping

    async def _record(self, *, until_end: bool) -> None:
        tps = await self._feed.assign(RECORDED)
        if until_end:
            await self._drain(tps, None)
            return
        while not self._stopping:
            await self._step()
            if await self._has_grown():
                tps = await self._feed.assign(RECORDED)
        await self._drain(tps, _STOP_S)

    async def _step(self, ends: dict[TopicPartition, int] | None = None) -> set[TopicPartition]:
        """Fetch once, and commit where it is time; returns the partitions of which records came."""
        fetched = await self._feed.fetch(list(ends or ()), None if self._ends_late else ends)
        is_due = time.monotonic() - self._committed_s >= self._rotate_s
        if is_due or self._writer.pending_bytes >= self._segment_bytes:
            self._commit()
        self._on_progress(self._progress())
        return set(fetched)

    async def _drain(self, tps: list[TopicPartition], limit_s: float | None) -> None:
        """Record what is there by now: the inputs first, so that what follows from them is there as well."""
        deadline_s = time.monotonic() + limit_s if limit_s is not None else None
        for phase in (INPUTS, RESULTS):
            mine = [tp for tp in tps if self._feed.topic_of(tp) in phase]
            ends = await self._consumer.end_offsets(mine)
            while ends:
                if self._is_over(deadline_s):
                    return
                came = await self._step(ends)
                for tp in list(ends):
                    if not (tp in came and self._ends_late) and await self._feed.position(tp) >= ends[tp]:
                        del ends[tp]

    def _is_over(self, deadline_s: float | None) -> bool:
        """Whether waiting for the end is over: at its time, or, where there is none, when told to stop."""
        return self._stopping if deadline_s is None else time.monotonic() >= deadline_s

    async def _has_grown(self) -> bool:
        """Look now and then. Raises RecordingError where a topic is gone, TopicsError where counts do not fit."""
        if time.monotonic() - self._looked_s < _LOOK_S:
            return False
        self._looked_s = time.monotonic()
        # A broker that is away comes back; records are waited for meanwhile.
        with contextlib.suppress(KafkaError):
            there = await self._consumer.topics()
            names = {topic: self._settings.topic_prefix + topic for topic in RECORDED}
            lost = sorted(name for name in names.values() if name not in there)
            self._lost_looks = self._lost_looks + 1 if lost else 0
            if self._lost_looks >= _LOOKS_FOR_LOST:
                raise RecordingError(f"{', '.join(lost)}: is gone from the broker: what is recorded stays")
            if not lost:
                # A broker that has just come back may not know all yet.
                seen = {topic: len(self._consumer.partitions_for_topic(name) or ()) for topic, name in names.items()}
                known = self._writer.manifest.topics
                return self._grow(self._fitting({name: max(seen[name], known[name].partitions) for name in RECORDED}))
        return False

    def _commit(self) -> None:
        self._writer.commit()
        self._size_bytes = sum(entry.size_bytes for entry in self._writer.manifest.segments)
        self._committed = self._feed.taken
        self._committed_s = time.monotonic()

    def _progress(self) -> Progress:
        segments = len(self._writer.manifest.segments)
        return Progress(self._feed.taken, self._committed, segments, self._size_bytes, self._feed.lag())
