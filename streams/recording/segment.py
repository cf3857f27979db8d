"""A segment: consecutive records of one partition in one Parquet file."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rules.fold import Headers, Record, SourceRecord
from streams.recording.errors import RecordingError
from streams.recording.location import PARTIAL
from streams.recording.manifest import SegmentEntry

_HEADER: Final = pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())])
SCHEMA: Final = pa.schema(
    [
        pa.field("topic", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.list_(pa.field("header", _HEADER, nullable=False))),
    ]
)
_SEGMENT_FILE: Final = re.compile(rf"[a-z.-]+/\d{{5}}/\d{{20}}\.parquet({re.escape(PARTIAL)})?")
_ROW_GROUP_ROWS: Final = 65_536
# What a record and a header take in memory beside their bytes, roughly.
_RECORD_BYTES: Final = 240
_HEADER_BYTES: Final = 170


def segment_file(topic: str, partition: int, begin_offset: int) -> str:
    """Where a segment lies in its recording."""
    return f"{topic}/{partition:05d}/{begin_offset:020d}.parquet"


def is_segment_file(file: str) -> bool:
    """Whether a file is named as a segment is, be it a whole one."""
    return _SEGMENT_FILE.fullmatch(file) is not None


@dataclass
class SegmentBuffer:
    """The records of a partition that are not written yet: from `begin_offset` up to `end_offset`."""

    topic: str
    partition: int
    begin_offset: int
    end_offset: int
    size_bytes: int = 0
    _offsets: list[int] = field(default_factory=list[int])
    _timestamps: list[int] = field(default_factory=list[int])
    _keys: list[bytes | None] = field(default_factory=list[bytes | None])
    _values: list[bytes | None] = field(default_factory=list[bytes | None])
    _headers: list[Sequence[tuple[str, bytes]]] = field(default_factory=list[Sequence[tuple[str, bytes]]])

    def __len__(self) -> int:
        return len(self._offsets)

    def append(self, record: SourceRecord) -> None:
        """Take the next record."""
        self._offsets.append(record.offset)
        self._timestamps.append(record.timestamp)
        self._keys.append(record.key)
        self._values.append(record.value)
        self._headers.append(record.headers)
        self.size_bytes += _RECORD_BYTES + len(record.key or b"") + len(record.value or b"")
        for name, value in record.headers:
            # A header's value may be null, though clients type it as bytes.
            self.size_bytes += _HEADER_BYTES + len(name) + len(value or b"")
        self.end_offset = record.offset + 1

    def encode(self) -> tuple[SegmentEntry, memoryview]:
        """The segment's entry and its bytes."""
        rows = len(self._offsets)
        table = pa.table(
            [
                pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([self.topic])),
                pa.array([self.partition] * rows, pa.int32()),
                pa.array(self._offsets, pa.int64()),
                pa.array(self._timestamps, pa.int64()).cast(SCHEMA.field("timestamp").type),
                pa.array(self._keys, pa.binary()),
                pa.array(self._values, pa.binary()),
                _header_column(self._headers),
            ],
            schema=SCHEMA,
        )
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
        content = memoryview(sink.getvalue())
        entry = SegmentEntry(
            file=segment_file(self.topic, self.partition, self.begin_offset),
            topic=self.topic,
            partition=self.partition,
            begin_offset=self.begin_offset,
            end_offset=self.end_offset,
            rows=rows,
            first_ms=min(self._timestamps),
            last_ms=max(self._timestamps),
            size_bytes=len(content),
            sha256=sha256(content).hexdigest(),
        )
        return entry, content


def decode_segment(raw: pa.Buffer, entry: SegmentEntry, where: str, *, dense: bool) -> pa.Table:
    """The table of a segment, checked against its entry. Raises RecordingError, naming `where`."""
    if raw.size != entry.size_bytes:
        raise RecordingError(f"{where}: {raw.size} bytes, the manifest says {entry.size_bytes}: it is cut or changed")
    if sha256(memoryview(raw)).hexdigest() != entry.sha256:
        raise RecordingError(f"{where}: its checksum does not fit the manifest's: it is damaged or changed")
    try:
        table = pq.read_table(pa.BufferReader(raw))
    except (pa.ArrowException, OSError) as error:
        raise RecordingError(f"{where}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    if table.schema.remove_metadata() != SCHEMA:
        raise RecordingError(f"{where}: its columns are not those of a recording: {', '.join(table.schema.names)}")
    _verify_place(table, entry, where)
    _verify_offsets(table, entry, where, dense=dense)
    return table


def _header_column(headers: Sequence[Sequence[tuple[str, bytes]]]) -> pa.ListArray[Any]:
    """All records' headers as one column, built flat: nested Python values are slow one by one."""
    ends = [0, *accumulate(map(len, headers))]
    names = pa.array([name for each in headers for name, _ in each], pa.string())
    values = pa.array([value for each in headers for _, value in each], pa.binary())
    flat = pa.StructArray.from_arrays([names, values], fields=[_HEADER.field(0), _HEADER.field(1)])
    return pa.ListArray.from_arrays(ends, flat, type=SCHEMA.field("headers").type)


def _verify_place(table: pa.Table, entry: SegmentEntry, where: str) -> None:
    """Raises RecordingError where the records are another partition's."""
    topics = pc.unique(table.column("topic").cast(pa.string())).to_pylist()
    partitions = pc.unique(table.column("partition")).to_pylist()
    if table.num_rows and (topics != [entry.topic] or partitions != [entry.partition]):
        raise RecordingError(
            f"{where}: its records are of {topics}, partition {partitions}, the manifest says {entry.topic}, "
            f"{entry.partition}"
        )


def _verify_offsets(table: pa.Table, entry: SegmentEntry, where: str, *, dense: bool) -> None:
    offsets = table.column("offset").to_numpy()
    if len(offsets) != entry.rows:
        raise RecordingError(f"{where}: {len(offsets)} records, the manifest says {entry.rows}")
    if not len(offsets):
        return
    if offsets[0] < entry.begin_offset or offsets[-1] >= entry.end_offset:
        raise RecordingError(
            f"{where}: offsets {offsets[0]} to {offsets[-1]}, the manifest says {entry.begin_offset} to "
            f"{entry.end_offset - 1}"
        )
    expected = np.arange(entry.begin_offset, entry.end_offset)
    if dense and not np.array_equal(offsets, expected):
        missing = np.setdiff1d(expected, offsets)
        said = f"offset {missing[0]} is missing" if len(missing) else "its offsets are not in order"
        raise RecordingError(f"{where}: a gap: {said}")
    if np.any(np.diff(offsets) <= 0):
        raise RecordingError(f"{where}: its offsets are not in order")


def records_of(table: pa.Table) -> Iterator[Record]:
    """The records of a segment's table, in order of their offsets."""
    for batch in table.to_batches(max_chunksize=_ROW_GROUP_ROWS):
        columns = {name: batch.column(name) for name in ("partition", "offset", "timestamp", "key", "value")}
        timestamps = columns["timestamp"].cast(pa.int64()).to_pylist()
        yield from map(
            Record,
            columns["offset"].to_pylist(),
            timestamps,
            columns["key"].to_pylist(),
            columns["value"].to_pylist(),
            _headers(batch.column("headers")),
            columns["partition"].to_pylist(),
        )


def _headers(column: Any) -> Sequence[Headers]:
    """Each record's headers; taken apart as columns, because nested Arrow values are slow one by one."""
    offsets: list[int] = column.offsets.to_pylist()
    if offsets[-1] == offsets[0]:
        return [()] * len(column)
    first = offsets[0]
    flat = column.flatten()
    pairs = list(zip(flat.field("name").to_pylist(), flat.field("value").to_pylist(), strict=True))
    return [tuple(pairs[begin - first : end - first]) for begin, end in pairwise(offsets)]
