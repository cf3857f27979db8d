"""Counting what each rule matched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rules.columns.table import Bools, Ints
from rules.language.compile import CompiledRuleset
from streams.backtest.maturity import Known
from streams.backtest.report import Unlabelled
from streams.backtest.sums import sum_of


@dataclass
class RuleTally:
    """One rule's hits; see `streams.backtest.report.RuleReport`."""

    hits: int = 0
    hits_alone: int = 0
    amount_minor: int = 0
    labelled_hits: int = 0
    fraud_hits: int = 0


class RuleTallies:
    """A tally for each rule of a ruleset, in file order."""

    def __init__(self, ruleset: CompiledRuleset, unlabelled_as: Unlabelled) -> None:
        rules = ruleset.document.rules
        self.tallies = [RuleTally() for _ in rules]
        self._live = np.array([rule.mode == "live" for rule in rules], np.bool_)
        self._good = [Known.GENUINE, *([Known.UNLABELLED] if unlabelled_as == "genuine" else [])]

    def add(self, hits: Bools, amount_minor: Ints, known: NDArray[np.intp]) -> None:
        """Count purchases in: `hits` (rules, n), the others (n)."""
        live_hits = hits[self._live].sum(axis=0)
        fraud = known == Known.FRAUD
        labelled = fraud | np.isin(known, self._good)
        for number, tally in enumerate(self.tallies):
            hit = hits[number]
            count = int(np.count_nonzero(hit))
            if not count:
                continue
            tally.hits += count
            tally.hits_alone += int(np.count_nonzero(live_hits[hit] == (1 if self._live[number] else 0)))
            tally.amount_minor += sum_of(amount_minor[hit])
            tally.labelled_hits += int(np.count_nonzero(labelled[hit]))
            tally.fraud_hits += int(np.count_nonzero(fraud[hit]))
