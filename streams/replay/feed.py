"""What came in to a recording, into a broker's topics once more: same keys, values and headers, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from typing import Any, Final, cast

import orjson

from rules.fold import Record
from rules.reply import REPLY_TO_HEADER
from streams.clients import producer_client
from streams.produce import OutgoingRecord, write_records
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.recording.recorded import RECORDED
from streams.replay.makers import Place
from streams.settings import Settings
from streams.topics import INCOMING

_TIME: Final = "event_time"
_FED: Final = tuple(topic for topic in INCOMING if topic in RECORDED)
# A label may carry its purchase.
_NESTED: Final = "purchase"


@dataclass(frozen=True)
class Feed:
    """A recording to be written into topics.

    `speed` is how many times as fast as it was recorded, None as fast as it goes. `shift_ms` is added to every
    event time; how far they lie apart stays as it is, whatever the speed.
    """

    recording: Recording
    speed: float | None = 1.0
    shift_ms: int = 0

    @property
    def topics(self) -> list[str]:
        """The topics that have something to be written. Raises RecordingError where there is none."""
        manifest = self.recording.manifest
        found = [topic for topic in _FED if topic in manifest.topics and manifest.rows(topic)]
        if not found:
            raise RecordingError(
                f"{self.recording.name}: it holds none of {', '.join(_FED)}: there is nothing to write"
            )
        return found

    @property
    def rows(self) -> int:
        """How many records there are."""
        return sum(self.recording.manifest.rows(topic) for topic in self.topics)

    def records(self) -> Iterator[OutgoingRecord]:
        """The records in the order of the broker's timestamps, each partition in the order of its offsets.

        A header that asks for a reply is left out: nobody waits for it any more.
        """
        began_ms: int | None = None
        for topic, record in _in_order(self.recording, self.topics):
            began_ms = record.timestamp if began_ms is None else began_ms
            due_s = (record.timestamp - began_ms) / 1000 / self.speed if self.speed else 0.0
            value = moved(record.value, self.shift_ms) if self.shift_ms else record.value
            where = f"{self.recording.name}: {Place(topic, record.partition, record.offset)}"
            headers = tuple(header for header in record.headers if header[0] != REPLY_TO_HEADER)
            yield OutgoingRecord(topic, record.key, value, headers, where, due_s)


def first_event_ms(recording: Recording) -> int | None:
    """The event time of the first record that has one, epoch milliseconds."""
    for _, record in _in_order(recording, Feed(recording).topics):
        fields = _object(record.value)
        if fields is not None and type(fields.get(_TIME)) is int:
            return fields[_TIME]
    return None


def moved(value: bytes | None, by_ms: int) -> bytes | None:
    """A record with its event times moved; bytes that hold none stay as they are."""
    fields = _object(value)
    if fields is None or not _move(fields, by_ms):
        return value
    return orjson.dumps(fields)


async def feed(settings: Settings, source: Feed, on_written: Callable[[int], object] = lambda _: None) -> None:
    """Write until all is acknowledged; `on_written` hears now and then how many are.

    Raises RecordingError, InvalidRecords for a record that the broker refuses, TopicsError where a topic is
    missing, BrokerUnreachableError and other KafkaErrors.
    """
    async with producer_client(settings, source.topics) as producer:
        async for written in write_records(producer, settings.topic_prefix, source.records()):
            on_written(written)


def _in_order(recording: Recording, topics: list[str]) -> Iterator[tuple[str, Record]]:
    lanes = [_lane(recording, topic, p) for topic in topics for p in range(recording.partitions(topic))]
    return merge(*lanes, key=lambda each: each[1].timestamp)


def _lane(recording: Recording, topic: str, partition: int) -> Iterator[tuple[str, Record]]:
    return ((topic, record) for record in recording.read(topic, partition))


def _object(value: bytes | None) -> dict[str, Any] | None:
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else None


def _move(fields: dict[str, Any], by_ms: int) -> bool:
    """Move the event times of an object in place; returns whether there was one."""
    found = type(fields.get(_TIME)) is int
    if found:
        fields[_TIME] += by_ms
    nested = fields.get(_NESTED)
    if isinstance(nested, dict):
        found |= _move(cast("dict[str, Any]", nested), by_ms)
    return found
