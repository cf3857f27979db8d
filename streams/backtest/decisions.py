"""What a ruleset decides on the purchases of a recording, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from models.decision import Decision
from rules.language.compile import CompiledRuleset
from streams.backtest.row_path import RowPath
from streams.backtest.run import accounts_partition
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from streams.timeline.timeline import Timeline

# A block's decisions are in memory at once.
_BLOCK_ROWS: Final = 8_192


def decisions_of(recording: Recording, ruleset: CompiledRuleset, labels: LabelTable) -> Iterator[Decision]:
    """Decide on every purchase, in canonical order, by the steps that decide live.

    There is none for purchases that a backtest leaves out, nor where the ruleset has no rate. Raises RecordingError.
    """
    path = RowPath(ruleset, accounts_partition(recording))
    for block in Timeline(recording, labels, block_rows=_BLOCK_ROWS).blocks():
        path.judge(block)
        yield from (decision for decision in path.decisions if decision is not None)
