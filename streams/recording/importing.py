"""From JSON lines to a recording: for backtests of what never went through Stopbank."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from models.fields import EventTimeMs
from models.problem import first_problem
from rules.fold import Record
from streams import topics
from streams.engine.partitioner import partition_for
from streams.produce import WRITABLE, InvalidRecords, OutgoingLine, read_lines
from streams.recording.manifest import Manifest, TopicEntry
from streams.recording.writer import new_recording
from streams.settings import Settings

_WRITE_BYTES: Final = 64 * 1024 * 1024
_TOLD_EVERY: Final = 1_000
# Which topic a plain record is for: the fields that only its kind has.
_TOPIC_BY_FIELD: Final = {
    "verdict": topics.LABELS,
    "repayment_id": topics.REPAYMENTS,
    "credit_limit": topics.ACCOUNTS,
    "kind": topics.SETTLEMENTS,
}
_time = TypeAdapter[int](EventTimeMs)


def import_lines(
    files: Sequence[Path],
    destination: str,
    settings: Settings,
    partitions: int,
    on_lines: Callable[[int], object] = lambda _: None,
) -> Manifest:
    """Write the records of JSON-lines files into a new recording, whole or not at all; returns its manifest.

    A line is a record of a simulation's file (`topic`, `key`, `at_ms`, `value`), or simply a purchase, a label, a
    credit limit, a repayment or a settlement. Each gets the next offset of its key's partition, and `at_ms`, else
    `event_time`, as the broker's timestamp. `on_lines` hears now and then how many are read. Raises InvalidRecords,
    which names the line, OSError and RecordingError.
    """
    manifest = Manifest(
        created_ms=int(time.time() * 1000),
        ruleset=settings.ruleset,
        max_ahead_ms=settings.max_ahead_s * 1000,
        topics={name: TopicEntry(begin_offsets=[0] * partitions, dense=True) for name in WRITABLE},
    )
    with new_recording(destination, manifest) as writer:
        number = 0
        for number, line in enumerate(_lines(files), 1):
            topic, partition = _topic_of(line), partition_for(line.key, partitions)
            writer.append(topic, _record(line, partition, writer.position(topic, partition)))
            if number % _TOLD_EVERY == 0:
                on_lines(number)
                if writer.pending_bytes >= _WRITE_BYTES:
                    writer.flush()
        on_lines(number)
    return writer.manifest


def _lines(files: Sequence[Path]) -> Iterator[OutgoingLine]:
    for file in files:
        yield from read_lines(file)


def _topic_of(line: OutgoingLine) -> str:
    if line.at_ms is not None:
        return line.topic
    return next((topic for field, topic in _TOPIC_BY_FIELD.items() if field in line.value), line.topic)


def _record(line: OutgoingLine, partition: int, offset: int) -> Record:
    at: Any = line.at_ms if line.at_ms is not None else line.value.get("event_time")
    try:
        at_ms = _time.validate_python(at)
    except ValidationError as error:
        name = "at_ms" if line.at_ms is not None else "event_time"
        raise InvalidRecords(first_problem(error, line.where).replace("the record", name, 1)) from None
    return Record(offset, at_ms, line.key, orjson.dumps(line.value), (), partition)
