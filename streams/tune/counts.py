"""What is counted of each candidate: the purchases that it stopped, by part of the recording and what is known."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.columns.evaluate import ACTIONS
from rules.columns.table import Bools, Ints
from streams.backtest.judged import ActionCodes
from streams.backtest.maturity import Known
from streams.backtest.sums import counts_of, sums_of
from streams.backtest.tallies import Tally

_KNOWN: Final = len(Known)
_OF_A_PART: Final = len(ACTIONS) * _KNOWN
APPROVE: Final = 0


class Common(NamedTuple):
    """What of a block's n compared purchases is the same for every candidate.

    `compared` says which purchases of the block they are. `group` has the number of each one's part times the
    groups of a part, plus its `Known`.
    """

    compared: Bools
    amount_minor: Ints
    group: NDArray[np.intp]


class Counts:
    """Purchases and amounts by part, action and `Known` for each of a number of candidates."""

    def __init__(self, candidates: int, parts: int) -> None:
        self._groups = parts * _OF_A_PART
        self._purchases = [[0] * self._groups for _ in range(candidates)]
        self._amounts = [[0] * self._groups for _ in range(candidates)]
        # Of all compared purchases, whatever was decided: each candidate approved those that it did not stop.
        self._all_purchases = [0] * self._groups
        self._all_amounts = [0] * self._groups

    def add_all(self, common: Common) -> None:
        """Count a block's purchases, whatever candidates say of them: once."""
        _plus(self._all_purchases, counts_of(common.group, self._groups))
        _plus(self._all_amounts, sums_of(common.group, common.amount_minor, self._groups))

    def add(self, candidate: int, common: Common, actions: ActionCodes) -> None:
        """Count what a candidate did with a block's purchases; `actions` has one for each of the block."""
        actions = actions[common.compared]
        stopped = np.flatnonzero(actions)
        groups = common.group[stopped] + actions[stopped] * np.intp(_KNOWN)
        _plus(self._purchases[candidate], counts_of(groups, self._groups))
        _plus(self._amounts[candidate], sums_of(groups, common.amount_minor[stopped], self._groups))

    def tally(self, candidate: int, part: int) -> Tally:
        """What a candidate did in a part, as a backtest counts a new ruleset without an old one."""
        tally = Tally()
        for known in range(_KNOWN):
            approved = part * _OF_A_PART + known
            purchases, amount_minor = self._all_purchases[approved], self._all_amounts[approved]
            for code in range(APPROVE + 1, len(ACTIONS)):
                stopped = approved + code * _KNOWN
                tally.purchases[code * _KNOWN + known] = self._purchases[candidate][stopped]
                tally.amounts_minor[code * _KNOWN + known] = self._amounts[candidate][stopped]
                purchases -= self._purchases[candidate][stopped]
                amount_minor -= self._amounts[candidate][stopped]
            tally.purchases[known], tally.amounts_minor[known] = purchases, amount_minor
        return tally


def common_of(ok: Bools, amount_minor: Ints, part: NDArray[np.intp], known: NDArray[np.intp]) -> Common:
    """The same for all: `ok` and `amount_minor` of a block's purchases, part and `Known` of those that are ok."""
    compared_minor = amount_minor[ok]
    return Common(ok, compared_minor, part * _OF_A_PART + known)


def _plus(mine: list[int], more: list[int]) -> None:
    for group, count in enumerate(more):
        mine[group] += count
