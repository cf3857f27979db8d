"""The latest event time that a fold has seen: what is long before it is forgotten."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

_KEY: Final = b"W"
_TIME = struct.Struct(">q")


class Watermark:
    """The latest event time in epoch milliseconds; 0 before the first purchase."""

    def __init__(self) -> None:
        self.latest_ms = 0
        self._dirty = False

    def advance(self, event_time_ms: int) -> None:
        """Take notice of a purchase's time."""
        if event_time_ms > self.latest_ms:
            self.latest_ms = event_time_ms
            self._dirty = True

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """The state record, if the time has moved since the last call."""
        dirty, self._dirty = self._dirty, False
        return [(_KEY, _TIME.pack(self.latest_ms))] if dirty else []

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the time back."""
        if _KEY in records:
            self.latest_ms = _TIME.unpack(records[_KEY])[0]
