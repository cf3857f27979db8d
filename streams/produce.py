"""Writing a file's records to their topics."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import gzip
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import orjson
from aiokafka import AIOKafkaProducer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams import topics
from streams.clients import producer_client
from streams.settings import Settings
from streams.simulate import InvalidRecording

# Acknowledgements that may be outstanding.
_MAX_PENDING: Final = 5_000
# A recording's own fields; a line without them is a purchase.
_RECORDED: Final = frozenset({"topic", "key", "at_ms", "value"})
_WRITABLE: Final = frozenset({*topics.INCOMING, topics.LABELS})


class OutgoingLine(NamedTuple):
    """A record to write; `topic` is the logical name."""

    topic: str
    key: bytes
    value: dict[str, Any]


def read_lines(path: Path) -> Iterator[OutgoingLine]:
    """The records of a file. Raises InvalidRecording with file and line, OSError where it can't be read."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _parsed(line, f"{path}:{number}")


def _parsed(line: bytes, where: str) -> OutgoingLine:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidRecording(f"{where}: not JSON: {error}") from None
    if not isinstance(record, dict):
        raise InvalidRecording(f"{where}: a JSON object is wanted: a purchase, or a recorded record")
    fields = cast("dict[str, Any]", record)
    if fields.keys() != _RECORDED:
        key = fields.get("account_id")
        if not isinstance(key, str):
            raise InvalidRecording(f"{where}: neither a purchase (no `account_id`) nor a recorded record")
        return OutgoingLine(topics.PURCHASES, key.encode(), fields)
    if fields["topic"] not in _WRITABLE or not isinstance(fields["value"], dict):
        raise InvalidRecording(f"{where}: `topic` is one of {', '.join(sorted(_WRITABLE))}, `value` an object")
    return OutgoingLine(fields["topic"], str(fields["key"]).encode(), fields["value"])


def shifted(lines: Iterable[OutgoingLine], by_ms: int) -> Iterator[OutgoingLine]:
    """The records with their event times moved."""
    for line in lines:
        value = line.value
        if isinstance(value.get("event_time"), int):
            value = {**value, "event_time": value["event_time"] + by_ms}
        yield line._replace(value=value)


async def produce_file(
    settings: Settings,
    path: Path,
    *,
    rate: float | None = None,
    shift_to_now: bool = False,
    progress: bool = True,
) -> int:
    """Write a file's records in order, at most `rate` a second; returns how many, all acknowledged."""
    lines = list(read_lines(path))
    if shift_to_now:
        last_ms = max((line.value.get("event_time") or 0 for line in lines), default=0)
        lines = list(shifted(lines, int(time.time() * 1000) - last_ms))
    bar = Progress(TextColumn("writing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True)
    async with producer_client(settings) as producer:
        with bar if progress else nullcontext():
            task = bar.add_task("", total=len(lines))
            async for written in write_lines(producer, settings.topic_prefix, lines, rate):
                bar.update(task, completed=written)
    return len(lines)


async def write_lines(
    producer: AIOKafkaProducer, prefix: str, lines: Iterable[OutgoingLine], rate: float | None
) -> AsyncIterator[int]:
    """Write records; yields how many are sent, now and then, and ends when all are acknowledged."""
    started_s = time.monotonic()
    pending: deque[Any] = deque()
    for number, line in enumerate(lines):
        if rate is not None:
            ahead_s = number / rate - (time.monotonic() - started_s)
            if ahead_s > 0.001:
                await asyncio.sleep(ahead_s)
        pending.append(await producer.send(prefix + line.topic, orjson.dumps(line.value), key=line.key))
        while len(pending) > _MAX_PENDING:
            await pending.popleft()
        if number % 100 == 0:
            yield number
    for sent in pending:
        await sent
