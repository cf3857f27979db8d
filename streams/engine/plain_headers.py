"""The headers of requests and responses, packed at once: they cost aiokafka as much as a small request does."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any, ClassVar, Final, NamedTuple

# api_key, api_version, correlation_id, how long the client's name is
_REQUEST: Final = struct.Struct(">hhih")
_RESPONSE: Final = struct.Struct(">i")


class Packed(NamedTuple):
    """A request's header."""

    raw: bytes

    def encode(self) -> bytes:
        """Its bytes."""
        return self.raw


class Told(NamedTuple):
    """A response's header."""

    correlation_id: int


class PlainHeaders:
    """A request whose version has the headers without tags, before aiokafka's own class of it."""

    API_KEY: ClassVar[int]
    API_VERSION: ClassVar[int]

    def build_request_header(self, correlation_id: int, client_id: str) -> Any:
        """The request's header."""
        name = client_id.encode()
        return Packed(_REQUEST.pack(self.API_KEY, self.API_VERSION, correlation_id, len(name)) + name)

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> Any:
        """The header of its response; a buffer is read up to the header's end."""
        raw = read_buffer if isinstance(read_buffer, bytes) else read_buffer.read(_RESPONSE.size)
        return Told(*_RESPONSE.unpack_from(raw))
