"""Events as JSON lines in a file, gzipped where its name ends in `.gz`."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import orjson

from streams.simulate.events import SimulatedEvent


def write_events(events: Iterable[SimulatedEvent], path: Path) -> None:
    """Write events, one a line. Equal events give equal bytes. Raises OSError."""
    with ExitStack() as files:
        file: IO[bytes] = files.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            # Neither the name nor the time goes into the file.
            packed = gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0)
            file = cast(IO[bytes], files.enter_context(packed))
        for event in events:
            file.write(_line(event))


def _line(event: SimulatedEvent) -> bytes:
    fields = {"topic": event.topic, "key": event.key, "at_ms": event.at_ms, "value": event.value}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
