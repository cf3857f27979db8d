"""Recordings: events as JSON lines in a file, gzipped where its name ends in `.gz`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, cast

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.fields import EventTimeMs, Identifier
from models.problem import OneOf, Wanted, first_problem
from streams.simulate.events import TOPICS, SimulatedEvent, Topic


class InvalidRecording(ValueError):  # noqa: N818  # reads as what it says
    """A file that is no recording; the message names the file, the line and what is wrong with it."""


def write_recording(events: Iterable[SimulatedEvent], path: Path) -> None:
    """Write events, one a line. Equal events give equal bytes. Raises OSError."""
    with ExitStack() as files:
        file: IO[bytes] = files.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            # Neither the name nor the time goes into the file.
            packed = gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0)
            file = cast(IO[bytes], files.enter_context(packed))
        for event in events:
            file.write(_line(event))


def read_recording(path: Path) -> Iterator[SimulatedEvent]:
    """Read events one by one, as they are asked for. Raises InvalidRecording and OSError."""
    lines_read = 0
    with _opened(path) as file:
        try:
            for number, line in enumerate(file, start=1):
                yield _event(line, f"{path}:{number}")
                lines_read = number
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InvalidRecording(f"{path}:{lines_read + 1}: the gzip data is damaged: {error}") from None


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    topic: Annotated[str, OneOf(TOPICS), Wanted(f"one of {', '.join(TOPICS)}")]
    key: Identifier
    at_ms: EventTimeMs
    value: dict[str, Any]


_lines = TypeAdapter(_Line)


def _line(event: SimulatedEvent) -> bytes:
    fields = {"topic": event.topic, "key": event.key, "at_ms": event.at_ms, "value": event.value}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def _event(line: bytes, where: str) -> SimulatedEvent:
    try:
        fields = _lines.validate_json(line)
    except ValidationError as error:
        raise InvalidRecording(first_problem(error, where)) from None
    return SimulatedEvent(cast(Topic, fields.topic), fields.key, fields.value, fields.at_ms)


@contextmanager
def _opened(path: Path) -> Generator[IO[bytes]]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield cast(IO[bytes], file)
