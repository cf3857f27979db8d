"""By columns: windows over whole blocks in numpy, where a ruleset asks nothing that depends on outcomes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.decision import Reason
from models.purchase import Purchase, decode_purchase
from rules.columns.evaluate import ColumnarRuleset, Evaluated
from rules.language.compile import CompiledRuleset
from rules.language.facts import Facts
from streams.backtest.judged import Judged
from streams.backtest.report import PathName
from streams.timeline.timeline import Block


class ColumnarPath:
    """See `streams.backtest.ruleset_path.RulesetPath`. Its reasons don't say when they clear."""

    def __init__(self, ruleset: CompiledRuleset) -> None:
        self._ruleset = ruleset
        self._columnar = ColumnarRuleset(ruleset)
        self._block: Block | None = None
        self._evaluated: Evaluated | None = None

    @property
    def name(self) -> PathName:
        """Which way it is."""
        return "columnar"

    def judge(self, block: Block) -> Judged:
        """Decide on the block's purchases, and learn them."""
        self._block = block
        self._evaluated = evaluated = self._columnar.take(block.columns)
        return Judged(evaluated.ok, evaluated.amount_minor, evaluated.hits, evaluated.actions)

    def reasons(self, row: int) -> list[Reason]:
        """The live rules that matched, in file order."""
        evaluated, purchase = self._asked(row)
        values = list(self.features(row).values())
        hits = sum(1 << int(number) for number in np.flatnonzero(evaluated.hits[:, row]))
        unasked: list[tuple[int | None, ...]] = [()] * len(values)
        amount_minor = int(evaluated.amount_minor[row])
        facts = Facts(purchase, amount_minor, values, unasked, None, None, None, self._ruleset.clock)
        return self._ruleset.verdict(hits, facts).reasons

    def features(self, row: int) -> Mapping[str, int | None]:
        """The values of the ruleset's features, by name."""
        evaluated, _ = self._asked(row)
        return {
            name: int(column.values[row]) if column.known[row] else None
            for name, column in zip(self._ruleset.plan.feature_names, evaluated.values, strict=True)
        }

    def _asked(self, row: int) -> tuple[Evaluated, Purchase]:
        assert self._block is not None, "a block was judged"
        assert self._evaluated is not None, "as above"
        return self._evaluated, decode_purchase(self._block.values[row])
