"""Why a rule file can't be tuned, in words."""

from __future__ import annotations

from streams.errors import PlainError


class TuneError(PlainError):
    """What is missing for tuning, and how to mend it."""
