"""Purchases written plainly - ASCII, no nesting, no escapes - read by Arrow's JSON parser and checked as columns.

What this accepts, `decode_purchase` accepts with the same fields; what it is not sure about it leaves over.
"""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.fields import MAX_AMOUNT_MINOR, MAX_EVENT_TIME_MS, MIN_EVENT_TIME_MS
from models.money import CURRENCIES
from rules.columns.table import MISSING, TEXT_FIELDS, Bools, Ints
from streams.timeline.batch import Batch
from streams.timeline.plain_json import are_identifiers, column, in_range, numbers, parsed, taken
from streams.timeline.texts import Rows, Texts

_REQUIRED: Final = ("transaction_id", "account_id", "currency", "merchant_id", "mcc")
_FULL: Final = pa.schema(
    [
        pa.field("amount", pa.int64()),
        pa.field("event_time", pa.int64()),
        *(pa.field(field, pa.string()) for field in TEXT_FIELDS),
        pa.field("location", pa.null()),
        pa.field("instalments", pa.null()),
    ]
)
_TIMES: Final = pa.schema([pa.field("event_time", pa.int64())])
_BYTE: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


def plain_batches(values: Any, rows: Rows, partition: int, offset: Ints) -> tuple[list[Batch], list[int]]:
    """Batches of those of `rows` that are plain purchases, and the rows that are left over.

    `values` is an Arrow array of large binaries, `offset` has each one's place in the partition.
    """
    batches: list[Batch] = []
    is_left = np.zeros(len(values), np.bool_)
    is_left[rows] = True
    for part, table in parsed(values, rows, _FULL, "error"):
        texts = {field: Texts.encode(column(table, field)) for field in TEXT_FIELDS}
        amount_minor, event_time_ms = numbers(table, "amount"), numbers(table, "event_time")
        fits = in_range(amount_minor, 1, MAX_AMOUNT_MINOR)
        fits &= in_range(event_time_ms, MIN_EVENT_TIME_MS, MAX_EVENT_TIME_MS)
        for field, text in texts.items():
            fits &= _words_fit(field, text)
        kept = part[fits]
        is_left[kept] = False
        batch = Batch(
            event_time_ms,
            np.full(len(part), partition, np.int64),
            offset[part],
            amount_minor,
            texts,
            np.zeros(len(part), np.int64),
            np.zeros(len(part), np.uint64),
            None,
            taken(values, part),
        )
        batches.append(batch if len(kept) == len(part) else batch.take(np.flatnonzero(fits)))
    return [batch for batch in batches if len(batch)], np.flatnonzero(is_left).tolist()


def plain_times(values: Any, rows: Rows) -> tuple[Ints, list[int]]:
    """Event times of those of `rows` that are plain, and may be purchases, and the rows that are left over."""
    times: list[Ints] = []
    is_left = np.zeros(len(values), np.bool_)
    is_left[rows] = True
    for part, table in parsed(values, rows, _TIMES, "ignore"):
        event_time_ms = numbers(table, "event_time")
        fits = in_range(event_time_ms, MIN_EVENT_TIME_MS, MAX_EVENT_TIME_MS)
        is_left[part[fits]] = False
        times.append(event_time_ms[fits])
    return np.concatenate([*times, np.zeros(0, np.int64)]), np.flatnonzero(is_left).tolist()


def _words_fit(field: str, column: Texts) -> Bools:
    """Whether each row's text is one for this field; what is missing is where it may be."""
    words = _CHECKS.get(field, are_identifiers)(column.words)
    # One place more, for MISSING, which as an index is the last.
    return np.append(words, field not in _REQUIRED)[np.where(column.codes == MISSING, len(words), column.codes)]


def _are_currencies(words: Any) -> Bools:
    return pc.is_in(words, value_set=pa.array(CURRENCIES)).to_numpy(zero_copy_only=False)


def _matching(pattern: str) -> Callable[[Any], Bools]:
    def are_matching(words: Any) -> Bools:
        return pc.match_substring_regex(words, pattern).to_numpy(zero_copy_only=False)

    return are_matching


# A text that is right in another form than these, like an IPv6 address, is left over.
_CHECKS: Final[dict[str, Callable[[Any], Bools]]] = {
    "currency": _are_currencies,
    "mcc": _matching("^[0-9]{4}$"),
    "country": _matching("^[A-Z]{2}$"),
    "ip": _matching(rf"^{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}$"),
}
