"""Counting what two rulesets did: by week, by pair of actions, and by what is known of the purchases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.calendar import period_clock
from rules.columns.evaluate import ACTIONS
from rules.columns.table import Ints
from rules.plan import Period
from streams.backtest.judged import ActionCodes
from streams.backtest.maturity import Known
from streams.backtest.sums import counts_of, sums_of

_ACTIONS: Final = len(ACTIONS)
_KNOWN: Final = len(Known)
_GROUPS: Final = _ACTIONS * _ACTIONS * _KNOWN


@dataclass
class Tally:
    """Purchases and their amounts by the old action, the new action and `Known`, a group for each triple."""

    purchases: list[int] = field(default_factory=lambda: [0] * _GROUPS)
    amounts_minor: list[int] = field(default_factory=lambda: [0] * _GROUPS)

    def add(self, groups: NDArray[np.intp], amount_minor: Ints) -> None:
        """Count purchases in."""
        self._plus(counts_of(groups, _GROUPS), sums_of(groups, amount_minor, _GROUPS))

    def merge(self, other: Tally) -> None:
        """Count in what another counted."""
        self._plus(other.purchases, other.amounts_minor)

    def _plus(self, purchases: list[int], amounts_minor: list[int]) -> None:
        self.purchases = [mine + more for mine, more in zip(self.purchases, purchases, strict=True)]
        self.amounts_minor = [mine + more for mine, more in zip(self.amounts_minor, amounts_minor, strict=True)]

    def count(self, old: int | None = None, new: int | None = None, *known: Known) -> int:
        """The purchases with these actions of which this is known; what is left out may be anything."""
        return sum(self.purchases[group] for group in _groups(old, new, known))

    def amount(self, old: int | None = None, new: int | None = None, *known: Known) -> int:
        """The amount of the same, in minor units."""
        return sum(self.amounts_minor[group] for group in _groups(old, new, known))


def _groups(old: int | None, new: int | None, known: tuple[Known, ...]) -> Iterator[int]:
    olds = range(_ACTIONS) if old is None else (old,)
    news = range(_ACTIONS) if new is None else (new,)
    for each_old in olds:
        for each_new in news:
            for each in known or tuple(Known):
                yield (each_old * _ACTIONS + each_new) * _KNOWN + each


class WeekTallies:
    """A tally for each calendar week of a time zone, by the week's first instant, epoch milliseconds."""

    def __init__(self, time_zone: str) -> None:
        self._clock = period_clock(time_zone)
        self.weeks: dict[int, Tally] = {}

    def add(
        self,
        event_time_ms: Ints,
        amount_minor: Ints,
        old: ActionCodes | None,
        new: ActionCodes,
        known: NDArray[np.intp],
    ) -> None:
        """Count purchases in order of time; without an old ruleset all count as approved by it."""
        pairs = new.astype(np.intp) if old is None else old.astype(np.intp) * _ACTIONS + new
        groups = pairs * _KNOWN + known
        begin = 0
        while begin < len(groups):
            first_ms, following_ms = self._clock.bounds_ms(Period.THIS_WEEK, int(event_time_ms[begin]))
            end = int(np.searchsorted(event_time_ms, following_ms))
            self.weeks.setdefault(first_ms, Tally()).add(groups[begin:end], amount_minor[begin:end])
            begin = end

    def total(self) -> Tally:
        """All weeks together."""
        total = Tally()
        for tally in self.weeks.values():
            total.merge(tally)
        return total
