"""What can be wrong with a recording."""

from __future__ import annotations

from streams.errors import PlainError


class RecordingError(PlainError):
    """A recording that can't be read or written; the message names the place, what is wrong and how to mend it."""
