"""What requests and responses of Kafka's protocol are made of: numbers and texts behind their lengths."""

from __future__ import annotations

import struct
from typing import Final

SHORT: Final = struct.Struct(">h")
INT: Final = struct.Struct(">i")


def pack_text(text: str) -> bytes:
    """A text as the protocol has it."""
    encoded = text.encode()
    return SHORT.pack(len(encoded)) + encoded


def unpack_topic(raw: bytes, at: int) -> tuple[str, int, int]:
    """The name of a topic at a place, how many partitions of it follow, and the place where they do."""
    (length,) = SHORT.unpack_from(raw, at)
    at += SHORT.size + length
    (partitions,) = INT.unpack_from(raw, at)
    return raw[at - length : at].decode(), partitions, at + INT.size
