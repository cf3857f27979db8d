"""The two ways to ask what a ruleset makes of purchases: row by row, and by columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from models.decision import Reason
from streams.backtest.judged import Judged
from streams.backtest.report import PathName
from streams.timeline.timeline import Block


class RulesetPath(Protocol):
    """One ruleset on its way through a recording, block after block.

    What is asked of a row is asked of the block that was judged last, and where that was `ok`.
    """

    @property
    def name(self) -> PathName:
        """Which way it is."""
        ...

    def judge(self, block: Block) -> Judged:
        """Decide on the block's purchases, and learn them."""
        ...

    def reasons(self, row: int) -> list[Reason]:
        """The live rules that matched, in file order. `clears_at` may be missing."""
        ...

    def features(self, row: int) -> Mapping[str, int | None]:
        """The values of the ruleset's features, by name."""
        ...
