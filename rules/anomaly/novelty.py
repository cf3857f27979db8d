"""How often accounts show a value that is new to them, over the whole population."""

from __future__ import annotations

from typing import Final

# Before anything is seen: one purchase in ten shows something new.
_NOVEL_PRIOR: Final = 1.0
_TRIALS_PRIOR: Final = 10.0


class Novelty:
    """Purchases of accounts with a history in one field, and how many of them were something new."""

    __slots__ = ("novel", "trials")

    def __init__(self, trials: int = 0, novel: int = 0) -> None:
        self.trials = trials
        self.novel = novel

    def rate(self) -> float:
        """The share of purchases that show something new, strictly between 0 and 1."""
        return (self.novel + _NOVEL_PRIOR) / (self.trials + _TRIALS_PRIOR)

    def learn(self, new: bool) -> None:
        """Count one purchase of an account with a history."""
        self.trials += 1
        self.novel += new

    def fade(self) -> None:
        """Halve both counts."""
        self.trials >>= 1
        self.novel >>= 1
