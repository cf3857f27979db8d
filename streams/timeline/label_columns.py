"""Labels as columns."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from rules.columns.table import Ints
from streams.timeline.label_file import KnownLabel
from streams.timeline.texts import Rows

# So many labels become columns at once.
_LABELS_AT_ONCE: Final = 65_536


class LabelColumns(NamedTuple):
    """One label a row, as in `streams.timeline.label_file.KnownLabel`; `transactions` is an Arrow array of texts."""

    transactions: Any
    verdict: Ints
    event_time_ms: Ints
    line: Ints

    @classmethod
    def concat(cls, pieces: Sequence[LabelColumns]) -> LabelColumns:
        """One below the other."""
        return cls(
            pa.concat_arrays([pa.array([], pa.string()), *(piece.transactions for piece in pieces)]),
            *(np.concatenate([np.zeros(0, np.int64), *columns]) for columns in list(zip(*pieces, strict=True))[1:]),
        )

    def take(self, rows: Rows) -> LabelColumns:
        """These rows, in this order."""
        if len(rows) == len(self.verdict) and bool((np.diff(rows) == 1).all()):
            return self
        return LabelColumns(self.transactions.take(pa.array(rows)), *(column[rows] for column in self[1:]))


def columns_of(labels: Sequence[KnownLabel]) -> LabelColumns:
    """These labels as columns."""
    numbers = np.array([label[1:] for label in labels], np.int64).reshape(-1, 3)
    return LabelColumns(pa.array([label.transaction_id for label in labels], pa.string()), *numbers.T)


def in_columns(labels: Iterable[KnownLabel]) -> Iterator[LabelColumns]:
    """Labels as columns, some at once."""
    waiting = iter(labels)
    while piece := list(islice(waiting, _LABELS_AT_ONCE)):
        yield columns_of(piece)
