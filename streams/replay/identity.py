"""How records are told apart: one digest for equal bytes, and one for the same purchase at the same place."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, cast

import orjson

from rules.dead_letter import SOURCE_HEADER
from rules.desk_outputs import RECEIVED_HEADER
from rules.route import ROUTE_HEADER
from streams.recording.recorded import FROM_DESKS
from streams.topics import DEAD_LETTERS, DECISIONS

DIGEST_BYTES: Final = 16
IDENTITY_BYTES: Final = 8
# Looked for rather than parsed: an altered decision need not be JSON any more.
_TRANSACTION: Final = re.compile(rb'"transaction_id":"((?:[^"\\]|\\.)*)"')
_LENGTH: Final = struct.Struct("<i")
_ABSENT: Final = _LENGTH.pack(-1)

HeaderPairs = Sequence[tuple[str, bytes]]


def digest_of(topic: str, key: bytes | None, value: bytes | None, headers: HeaderPairs) -> bytes:
    """16 bytes that differ where topic, key, value or headers do. BLAKE2b (RFC 7693)."""
    parts = [topic.encode(), b"\0"]
    for part in (key, value, *[part for name, content in headers for part in (name.encode(), content)]):
        if part is None:
            parts.append(_ABSENT)
        else:
            parts += (_LENGTH.pack(len(part)), part)
    return blake2b(b"".join(parts), digest_size=DIGEST_BYTES).digest()


def identity_of(topic: str, value: bytes | None, headers: HeaderPairs) -> bytes | None:
    """8 bytes that are the same for whatever a step might make of one arrival of a record; None where none is named.

    A decision is on a transaction received at a time; what else a desk writes is about a transaction; a record on its
    way came in at an offset and has so many stops before it; a dead letter names its source.
    """
    named = _named(topic, value, headers)
    if named is None:
        return None
    return blake2b(orjson.dumps([topic, named]), digest_size=IDENTITY_BYTES).digest()


def _named(topic: str, value: bytes | None, headers: HeaderPairs) -> list[Any] | None:
    try:
        if topic == DECISIONS:
            found = _TRANSACTION.search(value or b"")
            return [found and found[1].decode(), _header(headers, RECEIVED_HEADER).decode()]
        if topic in FROM_DESKS:
            found = _TRANSACTION.search(value or b"")
            return [found[1].decode()] if found else None
        if topic == DEAD_LETTERS:
            return [_header(headers, SOURCE_HEADER).decode()]
        kind, _, origin, _, _, stops, *_ = orjson.loads(_header(headers, ROUTE_HEADER))
        return [kind, origin, len(stops)]
    except (ValueError, TypeError, KeyError):
        return None


def _header(headers: HeaderPairs, name: str) -> bytes:
    """Stopbank's own header, the last of its name. Raises KeyError where there is none, or none with a value."""
    # Clients type a header's value as bytes, and in a record of another program it may be null.
    value = cast("bytes | None", dict(headers)[name])
    if value is None:
        raise KeyError(name)
    return value
