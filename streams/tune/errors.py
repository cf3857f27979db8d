"""Why a rule file can't be tuned, in words."""

from __future__ import annotations


class TuneError(Exception):
    """What is missing for tuning, and how to mend it."""
