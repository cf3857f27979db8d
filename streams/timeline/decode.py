"""From the values of a recorded segment to columns of purchases."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.purchase import InvalidPurchase, Purchase, decode_purchase
from rules.columns.table import Bools, Ints
from rules.intake import MAX_RECORD_BYTES
from streams.timeline.batch import Batch, batch_of
from streams.timeline.plain_purchases import plain_batches, plain_times
from streams.timeline.texts import Rows

# Decoded at once: keeps what the parser needs small beside a segment.
_ROWS_AT_ONCE: Final = 65_536


@dataclass
class Refused:
    """How many purchases were left out because they could not be used, by what was wrong with them."""

    malformed: int = 0
    future: int = 0
    oversized: int = 0


def decode_batch(table: pa.Table, max_ahead_ms: int, refused: Refused) -> Batch:
    """The purchases of a segment of the purchases topic, in order of their offsets; the rest is counted."""
    pieces = [
        _decoded(_Part(table.slice(begin, _ROWS_AT_ONCE)), max_ahead_ms, refused)
        for begin in range(0, max(len(table), 1), _ROWS_AT_ONCE)
    ]
    return Batch.concat(pieces)


class _Part:
    """Some rows of a segment."""

    def __init__(self, table: pa.Table) -> None:
        table = table.combine_chunks()
        self.partition = table.column("partition")[0].as_py() if len(table) else 0
        self.offset: Ints = table.column("offset").to_numpy()
        self.timestamp_ms: Ints = table.column("timestamp").cast(pa.int64()).to_numpy()
        # 64-bit offsets: what is put together later may be larger than 2 GiB.
        self.values = large_values(table)


def large_values(table: pa.Table) -> Any:
    """The values of a segment's table as one Arrow array of large binaries; no value is an empty one."""
    column = table.column("value").cast(pa.large_binary()).combine_chunks()
    array = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    return array.fill_null(b"") if array.null_count else array


def is_read(values: Any) -> Bools:
    """Which values are not too large to be read."""
    return pc.binary_length(values).to_numpy(zero_copy_only=False) <= MAX_RECORD_BYTES


def _decoded(part: _Part, max_ahead_ms: int, refused: Refused) -> Batch:
    fits = is_read(part.values)
    refused.oversized += len(fits) - int(fits.sum())
    rows = np.flatnonzero(fits)
    batch = _decode_rows(part, rows, refused)
    on_time = batch.event_time_ms <= part.timestamp_ms[np.searchsorted(part.offset, batch.offset)] + max_ahead_ms
    if on_time.all():
        return batch
    refused.future += len(on_time) - int(on_time.sum())
    return batch.take(np.flatnonzero(on_time))


def _decode_rows(part: _Part, rows: Rows, refused: Refused) -> Batch:
    plain, left = plain_batches(part.values, rows, part.partition, part.offset)
    purchases: list[Purchase] = []
    taken: list[int] = []
    for row in left:
        try:
            purchases.append(decode_purchase(part.values[row].as_py()))
        except InvalidPurchase:
            refused.malformed += 1
        else:
            taken.append(row)
    if taken or not plain:
        kept = np.array(taken, np.int64)
        plain.append(batch_of(purchases, part.partition, part.offset[kept], part.values.take(pa.array(kept))))
    batch = Batch.concat(plain)
    return batch if len(plain) == 1 else batch.take(np.argsort(batch.offset))


def earliest_ms(table: pa.Table) -> int | None:
    """A moment that no purchase in a segment is before; None where none can be read."""
    values = large_values(table)
    times: list[int] = []
    for begin in range(0, len(values), _ROWS_AT_ONCE):
        part = values.slice(begin, _ROWS_AT_ONCE)
        plain, left = plain_times(part, np.flatnonzero(is_read(part)))
        times += [int(plain.min())] if len(plain) else []
        for row in left:
            with suppress(InvalidPurchase):
                times.append(decode_purchase(part[row].as_py()).event_time)
    return min(times, default=None)
