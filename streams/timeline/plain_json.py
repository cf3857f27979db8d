"""JSON objects written plainly - ASCII, no nesting, no escapes - read by Arrow's JSON parser as columns."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from models.fields import MAX_ID_CHARS
from rules.columns.table import Bools, Ints
from streams.timeline.texts import Rows

# One object of printable ASCII, nothing in it escaped or nested.
_PLAIN: Final = r"^\{[ -\[\]-z|~]*\}$"
# The parser tells of a wrong value, not of its row: then halves are tried, down to this size.
_ROWS_LEFT_OVER: Final = 128
# The parser is asked for no more at once, so that its lengths stay within 32 bits.
_BYTES_AT_ONCE: Final = 64 * 1024 * 1024


def parsed(
    values: Any, rows: Rows, schema: pa.Schema, unexpected: Literal["error", "ignore"]
) -> Iterator[tuple[Rows, pa.Table]]:
    """The plain ones of `rows`, parsed, in parts; rows that the parser refuses are in none."""
    if not len(rows):
        return
    plain = taken(values, rows)
    if not _all_plain(plain):
        rows = rows[pc.match_substring_regex(plain, _PLAIN).to_numpy(zero_copy_only=False)]
    waiting = [rows]
    while waiting:
        part = waiting.pop()
        if not len(part):
            continue
        table = _parse(taken(values, part), schema, unexpected)
        if table is not None:
            yield part, table
        elif len(part) > _ROWS_LEFT_OVER:
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]


def _parse(values: Any, schema: pa.Schema, unexpected: Literal["error", "ignore"]) -> pa.Table | None:
    """One object a value; None where one of them is not as the schema says."""
    size = int(pc.sum(pc.binary_length(values)).as_py()) + len(values)
    if size > _BYTES_AT_ONCE:
        return None
    lines = pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
    joined: Any = pc.binary_join(lines, pa.scalar(b"\n", pa.large_binary()))
    reader: Any = pa.BufferReader(joined[0].as_buffer())
    try:
        table = pj.read_json(
            reader,
            read_options=pj.ReadOptions(use_threads=False, block_size=size + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
        )
    except pa.ArrowInvalid:
        return None
    return table if len(table) == len(values) else None


def _all_plain(values: Any) -> bool:
    """Whether all values match `_PLAIN`; sure if true. Quicker than asking each."""
    _, offsets_buffer, data = values.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[values.offset : values.offset + len(values) + 1]
    begin, end = int(offsets[0]), int(offsets[-1])
    if data is None or not np.diff(offsets).all():
        return False
    # As signed numbers, what is not ASCII is below the space.
    signed = np.frombuffer(data, np.int8)[begin:end]
    if signed.min() < ord(" ") or signed.max() > ord("~"):
        return False
    counts = {character: np.count_nonzero(signed == ord(character)) for character in "\\{}"}
    if counts != {"\\": 0, "{": len(values), "}": len(values)}:
        return False
    return bool(
        (signed[offsets[:-1] - begin] == ord("{")).all() and (signed[offsets[1:] - begin - 1] == ord("}")).all()
    )


def taken(values: Any, rows: Rows) -> Any:
    """These rows of an Arrow array, without a copy where they are all."""
    return values if len(rows) == len(values) else values.take(pa.array(rows))


def column(table: pa.Table, field: str) -> Any:
    """A column as one Arrow array."""
    return pa.concat_arrays(table.column(field).chunks)


def numbers(table: pa.Table, field: str) -> Ints:
    """A column of numbers; 0, which is out of all ranges here, where there is none."""
    return column(table, field).fill_null(0).to_numpy(zero_copy_only=False)


def in_range(values: Ints, low: int, high: int) -> Bools:
    """Which values are from `low` to `high`."""
    return (values >= low) & (values <= high)


def are_identifiers(words: Any) -> Bools:
    """Of printable ASCII only the space is none of an identifier's characters."""
    has_space: Bools = pc.match_substring(words, " ").to_numpy(zero_copy_only=False)
    return in_range(pc.binary_length(words).to_numpy(zero_copy_only=False), 1, MAX_ID_CHARS) & ~has_space
