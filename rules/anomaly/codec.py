"""Reading state back from its bytes."""

from __future__ import annotations

import struct


class AnomalyStateError(ValueError):
    """Bytes that are not the state they should be."""


def unpack(layout: struct.Struct, raw: bytes, at: int) -> tuple[int, ...]:
    """Read a layout of integers at a position. Raises AnomalyStateError where the bytes end before it."""
    try:
        return layout.unpack_from(raw, at)
    except struct.error:
        raise AnomalyStateError("anomaly state: the bytes end too early") from None
