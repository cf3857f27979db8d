"""Which way a ruleset goes through a recording: by columns where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rules.columns.evaluate import columnar_obstacle
from rules.language.compile import CompiledRuleset
from streams.backtest.columnar_path import ColumnarPath
from streams.backtest.row_path import RowPath
from streams.backtest.ruleset_path import RulesetPath

WantedPath = Literal["auto", "rows", "columnar"]


def choose_path(
    ruleset: CompiledRuleset, partition_of: Callable[[bytes], int], wanted: WantedPath = "auto"
) -> tuple[RulesetPath, str | None]:
    """The path, and why it is row by row where it is. Raises ValueError where columns are wanted and can't be."""
    obstacle = columnar_obstacle(ruleset.plan)
    if wanted == "columnar" and obstacle is not None:
        raise ValueError(f"{ruleset.id} can't be evaluated by columns: {obstacle}")
    if wanted == "rows":
        return RowPath(ruleset, partition_of), obstacle or "asked for"
    return (ColumnarPath(ruleset), None) if obstacle is None else (RowPath(ruleset, partition_of), obstacle)
