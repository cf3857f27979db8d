"""A ruleset that takes part in a backtest, and what is counted of it alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rules.columns.table import Bools, Ints
from rules.language.compile import CompiledRuleset
from streams.backtest.judged import Judged
from streams.backtest.row_path import RowPath
from streams.backtest.rule_tallies import RuleTallies
from streams.backtest.ruleset_path import RulesetPath
from streams.timeline.timeline import Block


@dataclass(frozen=True)
class Contender:
    """A ruleset and the file that it is from; None for the one that was in force last in the recording."""

    ruleset: CompiledRuleset
    file: str | None


class Party:
    """A contender on its way through a recording. `judged` is what it made of the block at hand."""

    def __init__(self, contender: Contender, path: RulesetPath, rows_because: str | None, rules: RuleTallies) -> None:
        self.ruleset = contender.ruleset
        self.file = contender.file
        self.path = path
        self.rows_because = rows_because
        self.rules = rules
        self.no_rate = 0
        self._purchases = 0
        self._busy_s = 0.0
        self._judged: Judged | None = None

    @property
    def judged(self) -> Judged:
        """What it made of the block at hand."""
        assert self._judged is not None, "a block was judged"
        return self._judged

    @property
    def purchases_per_s(self) -> float | None:
        """How many purchases it judged a second; None before the first."""
        return self._purchases / self._busy_s if self._busy_s and self._purchases else None

    @property
    def account_records_without_rate(self) -> int:
        """Credit limits and repayments that had no effect, where the rules ask for credit."""
        path = self.path
        return path.account_records_without_rate if self.ruleset.plan.uses_credit and isinstance(path, RowPath) else 0

    def judge(self, block: Block) -> Judged:
        """Decide on a block's purchases."""
        begun_s = time.perf_counter()
        self._judged = judged = self.path.judge(block)
        self._busy_s += time.perf_counter() - begun_s
        self._purchases += len(judged.ok)
        self.no_rate += len(judged.ok) - int(np.count_nonzero(judged.ok))
        return judged

    def count(self, compared: Bools, amount_minor: Ints, known: NDArray[np.intp]) -> None:
        """Count what its rules matched among the purchases that are compared; the others are of these alone."""
        self.rules.add(self.judged.hits[:, compared], amount_minor, known)
