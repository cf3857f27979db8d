"""Writing records to their topics, those of a file and others."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from rules.fold import Headers
from streams import topics
from streams.clients import producer_client
from streams.errors import PlainError
from streams.settings import Settings

# Acknowledgements that may be outstanding.
_MAX_PENDING: Final = 5_000
_TOLD_EVERY: Final = 100
# A recording's own fields; a line without them is a purchase.
_RECORDED: Final = frozenset({"topic", "key", "at_ms", "value"})
# Degraded answers and inquiries are not among these: they are what gateways say, of answers that they gave, and ask.
WRITABLE: Final = (topics.PURCHASES, topics.ACCOUNTS, topics.REPAYMENTS, topics.LABELS, topics.SETTLEMENTS)


class InvalidRecords(PlainError):  # noqa: N818  # reads as what it says
    """Records that can't be written; the message names the file and line, or the record, and what is wrong with it."""


class OutgoingRecord(NamedTuple):
    """A record to write; `topic` is the logical name, `where` what it is called in messages.

    It is not sent before `due_s`, in seconds after the first.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    where: str = ""
    due_s: float = 0.0


class OutgoingLine(NamedTuple):
    """A record to write; `topic` is the logical name, `where` the file and line that it came from.

    `at_ms` is when it came in, as a recording's line says it, unchecked; None for a plain record.
    """

    topic: str
    key: bytes
    value: dict[str, Any]
    where: str = ""
    at_ms: object = None


def read_lines(path: Path) -> Iterator[OutgoingLine]:
    """The records of a file, gzipped where its name ends in `.gz`. Raises InvalidRecords, OSError.

    What is inside the records is not looked at: whoever tries how bad purchases are refused may write them.
    """
    number, records = 0, 0
    with _opened(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    records += 1
                    yield _parsed(line, f"{path}:{number}")
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InvalidRecords(f"{path}:{number + 1}: the gzip data is damaged: {error}") from None
    if not records:
        raise InvalidRecords(f"{path} holds no records: a line is a purchase, or a record of a recording")


@contextmanager
def _opened(path: Path) -> Generator[IO[bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield cast("IO[bytes]", file)


def _parsed(line: bytes, where: str) -> OutgoingLine:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidRecords(f"{where}: not JSON in UTF-8: {error}") from None
    if not isinstance(record, dict):
        raise InvalidRecords(f"{where}: not a JSON object: a line is a purchase, or a record of a recording")
    fields = cast("dict[str, Any]", record)
    if fields.keys() == _RECORDED:
        return _recorded(fields, where)
    key = fields.get("account_id")
    if not isinstance(key, str):
        raise InvalidRecords(
            f"{where}: neither a purchase (no `account_id`) nor a record of a recording "
            "(`topic`, `key`, `at_ms` and `value`, nothing else)"
        )
    return OutgoingLine(topics.PURCHASES, key.encode(), fields, where)


def _recorded(fields: dict[str, Any], where: str) -> OutgoingLine:
    topic, key, value = fields["topic"], fields["key"], fields["value"]
    if not isinstance(topic, str) or topic not in WRITABLE:
        raise InvalidRecords(f"{where}: `topic` is {topic!r}: it may be one of {', '.join(sorted(WRITABLE))}")
    if not isinstance(key, str):
        raise InvalidRecords(f"{where}: `key` is no text: it is the account's id")
    if not isinstance(value, dict):
        raise InvalidRecords(f"{where}: `value` is no JSON object: it is the record itself")
    return OutgoingLine(topic, key.encode(), cast("dict[str, Any]", value), where, fields["at_ms"])


def moved_to(lines: Sequence[OutgoingLine], now_ms: int) -> list[OutgoingLine]:
    """The records with all event times moved alike, so that the last purchase happens at `now_ms`.

    A recording is otherwise as late as it is old.
    """
    purchased = [
        line.value["event_time"]
        for line in lines
        if line.topic == topics.PURCHASES and isinstance(line.value.get("event_time"), int)
    ]
    if not purchased:
        return list(lines)
    return list(_shifted(lines, now_ms - max(purchased)))


def _shifted(lines: Iterable[OutgoingLine], by_ms: int) -> Iterator[OutgoingLine]:
    for line in lines:
        value = _moved(line.value, by_ms)
        purchase = value.get("purchase")
        if line.topic == topics.LABELS and isinstance(purchase, dict):
            value = {**value, "purchase": _moved(cast("dict[str, Any]", purchase), by_ms)}
        yield line._replace(value=value)


def _moved(value: dict[str, Any], by_ms: int) -> dict[str, Any]:
    event_time = value.get("event_time")
    return {**value, "event_time": event_time + by_ms} if isinstance(event_time, int) else value


async def produce_lines(
    settings: Settings,
    lines: Sequence[OutgoingLine],
    rate: float | None = None,
    on_written: Callable[[int], object] = lambda _: None,
) -> None:
    """Write records in order, at most `rate` a second, until all are acknowledged.

    `on_written` hears now and then how many are. Raises InvalidRecords for a record that the broker refuses,
    TopicsError where a topic is missing, BrokerUnreachableError and other KafkaErrors.
    """
    async with producer_client(settings, {line.topic for line in lines}) as producer:
        async for written in write_lines(producer, settings.topic_prefix, lines, rate):
            on_written(written)


async def write_lines(
    producer: AIOKafkaProducer, prefix: str, lines: Iterable[OutgoingLine], rate: float | None
) -> AsyncIterator[int]:
    """Write lines, at most `rate` a second; see `write_records`."""
    records = (
        OutgoingRecord(line.topic, line.key, orjson.dumps(line.value), (), line.where, number / rate if rate else 0.0)
        for number, line in enumerate(lines)
    )
    async for written in write_records(producer, prefix, records):
        yield written


async def write_records(
    producer: AIOKafkaProducer, prefix: str, records: Iterable[OutgoingRecord]
) -> AsyncIterator[int]:
    """Write records in order, each when it is due; yields how many are acknowledged, and at last that all are.

    Raises InvalidRecords for a record that the broker refuses, and KafkaErrors.
    """
    started_s = time.monotonic()
    pending: deque[tuple[OutgoingRecord, Any]] = deque()
    acknowledged = 0
    for number, record in enumerate(records):
        ahead_s = record.due_s - (time.monotonic() - started_s)
        if ahead_s > 0.001:
            await asyncio.sleep(ahead_s)
        pending.append((record, await _sent(producer, prefix, record)))
        while pending and (len(pending) > _MAX_PENDING or pending[0][1].done()):
            await _acknowledged(*pending.popleft())
            acknowledged += 1
        if number % _TOLD_EVERY == 0:
            yield acknowledged
    for record, sent in pending:
        await _acknowledged(record, sent)
        acknowledged += 1
    yield acknowledged


async def _sent(producer: AIOKafkaProducer, prefix: str, record: OutgoingRecord) -> Any:
    try:
        return await producer.send(
            prefix + record.topic, record.value, key=record.key, headers=list(record.headers) or None
        )
    except MessageSizeTooLargeError as error:
        raise InvalidRecords(f"{record.where}: too large to be sent: {error.args[0]}") from None


async def _acknowledged(record: OutgoingRecord, sent: Any) -> None:
    try:
        await sent
    except MessageSizeTooLargeError:
        raise InvalidRecords(f"{record.where}: larger than topic {record.topic} takes") from None
