"""The labels that a recording has, as columns: those written plainly by Arrow's JSON parser, the others one by one."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.fields import MAX_EVENT_TIME_MS, MIN_EVENT_TIME_MS
from models.label import InvalidLabel, decode_label
from streams.recording.reader import Recording
from streams.timeline.decode import large_values
from streams.timeline.label_columns import LabelColumns, columns_of
from streams.timeline.label_file import VERDICTS, KnownLabel
from streams.timeline.plain_json import are_identifiers, column, in_range, numbers, parsed
from streams.timeline.texts import Rows
from streams.topics import LABELS

# Decoded at once: keeps what the parser needs small beside a segment.
_ROWS_AT_ONCE: Final = 65_536
_TEXTS: Final = ("transaction_id", "account_id", "verdict")
_PLAIN: Final = pa.schema([pa.field("event_time", pa.int64()), *(pa.field(field, pa.string()) for field in _TEXTS)])


class RecordedLabels:
    """The labels of a recording, in order of their partitions and offsets. `bad_records` counts what is no label."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.bad_records = 0

    def __iter__(self) -> Iterator[LabelColumns]:
        for partition in range(self._recording.partitions(LABELS)):
            for table in self._recording.tables(LABELS, partition):
                values = large_values(table)
                for begin in range(0, len(values), _ROWS_AT_ONCE):
                    yield self._decoded(values.slice(begin, _ROWS_AT_ONCE))

    def _decoded(self, values: Any) -> LabelColumns:
        """The labels of these values, in their order."""
        rows = np.arange(len(values))
        is_left = np.ones(len(values), np.bool_)
        pieces: list[LabelColumns] = []
        places: list[Rows] = []
        for part, table in parsed(values, rows, _PLAIN, "error"):
            fits, piece = _plain(table)
            is_left[part[fits]] = False
            pieces.append(piece.take(np.flatnonzero(fits)))
            places.append(part[fits])
        labels, read = self._one_by_one(values, np.flatnonzero(is_left))
        pieces.append(columns_of(labels))
        places.append(read)
        return LabelColumns.concat(pieces).take(np.argsort(np.concatenate(places)))

    def _one_by_one(self, values: Any, rows: Rows) -> tuple[list[KnownLabel], Rows]:
        labels: list[KnownLabel] = []
        read: list[int] = []
        for row in rows.tolist():
            try:
                label = decode_label(values[row].as_py())
            except InvalidLabel:
                self.bad_records += 1
            else:
                labels.append(KnownLabel(label.transaction_id, VERDICTS[label.verdict], label.event_time, 0))
                read.append(row)
        return labels, np.array(read, np.int64)


def _plain(table: pa.Table) -> tuple[Any, LabelColumns]:
    """Which rows are labels, and the columns of all of them."""
    transactions, accounts, verdicts = (column(table, field).fill_null("") for field in _TEXTS)
    event_time_ms = numbers(table, "event_time")
    names = list(VERDICTS)
    number = pc.index_in(verdicts, value_set=pa.array(names)).fill_null(-1).to_numpy(zero_copy_only=False)
    fits = (number >= 0) & in_range(event_time_ms, MIN_EVENT_TIME_MS, MAX_EVENT_TIME_MS)
    for ids in (transactions, accounts):
        fits &= are_identifiers(ids)
    verdict = np.array([*VERDICTS.values(), 0])[number]
    return fits, LabelColumns(transactions, verdict, event_time_ms, np.zeros(len(table), np.int64))
