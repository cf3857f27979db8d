"""What is written is read back, whatever it is, however it is cut, and wherever it lies."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.fold import Record
from streams.recording.errors import RecordingError
from streams.recording.location import Location
from streams.recording.manifest import TopicEntry, read_manifest
from streams.recording.reader import Recording
from streams.recording.writer import RecordingWriter
from tests.streams.recording.made import START_MS, manifest_of, some_records, write

BYTES = st.one_of(st.none(), st.binary(max_size=20))
NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
RECORDS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.integers(0, 4_102_444_800_000),
        BYTES,
        BYTES,
        st.lists(st.tuples(NAMES, BYTES), max_size=3),
        st.integers(0, 2),
    ),
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(drawn=RECORDS, dense=st.booleans(), cuts=st.sets(st.integers(0, 40)), begin=st.integers(0, 2**40))
def test_records_come_back_as_they_were_whatever_they_are(
    drawn: list[tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes]], int]],
    dense: bool,
    cuts: set[int],
    begin: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        entry = TopicEntry(begin_offsets=[begin] * 3, dense=dense)
        writer = RecordingWriter.create(folder, manifest_of({"purchases": entry}))
        written: list[Record] = []
        for number, (step, timestamp, key, value, headers, partition) in enumerate(drawn):
            offset = writer.position("purchases", partition) + (0 if dense else step - 1)
            record = Record(offset, timestamp, key, value, tuple(headers), partition)
            writer.append("purchases", record)
            written.append(record)
            if number in cuts:
                writer.commit()
                writer = RecordingWriter.resume(folder)
        writer.commit()
        recording = Recording.open(folder)
        for partition in range(3):
            mine = [record for record in written if record.partition == partition]
            assert list(recording.read("purchases", partition)) == mine
            assert recording.last("purchases", partition) == (mine[-1] if mine else None)
            middle = mine[len(mine) // 2].offset if mine else 0
            assert list(recording.read("purchases", partition, middle)) == [r for r in mine if r.offset >= middle]
        assert recording.manifest.rows("purchases") == len(written)


def test_a_uri_of_this_machine_is_a_directory_like_any(tmp_path: Path) -> None:
    records = some_records(30)
    writer = RecordingWriter.create(
        f"file://{tmp_path}/there", manifest_of({"purchases": TopicEntry(begin_offsets=[0, 0], dense=True)})
    )
    for record in records:
        writer.append("purchases", record)
    writer.commit()
    assert Location(f"file://{tmp_path}/there").local_path() == tmp_path / "there"
    assert list(Recording.open(str(tmp_path / "there")).read("purchases", 1)) == records[1::2]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_store_that_is_no_directory_holds_recordings_too(tmp_path: Path) -> None:
    system = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    place = Location("bucket/recording", system)
    assert place.local_path() is None
    entry = TopicEntry(begin_offsets=[0, 0], dense=True)
    writer = RecordingWriter.create(place, manifest_of({"purchases": entry}))
    for record in some_records(30):
        writer.append("purchases", record)
    writer.flush()
    assert len(place.files()) == 2
    RecordingWriter.create(place, manifest_of({"purchases": entry}))
    assert place.files() == [], "what no manifest names is in the way"
    for record in some_records(10):
        writer.append("purchases", record._replace(offset=record.offset + 15))
    with pytest.raises(RecordingError, match="no such file"):
        read_manifest(place)


def test_an_address_that_nothing_answers_to_is_told() -> None:
    with pytest.raises(RecordingError, match=r"nowhere://bucket.*s3://"):
        Location("nowhere://bucket")


def test_a_recording_without_records_is_one(tmp_path: Path) -> None:
    write(tmp_path, {"purchases": []})
    recording = Recording.open(str(tmp_path))
    assert list(recording.read("purchases", 0)) == []
    assert recording.partitions("purchases") == 2
    assert recording.partitions("labels") == 0
    with pytest.raises(RecordingError, match="not recorded: labels"):
        recording.require("purchases", "labels")


def test_the_times_of_a_segment_are_the_least_and_the_largest(tmp_path: Path) -> None:
    records = [Record(n, START_MS + at, b"k", b"v") for n, at in enumerate([5, 1, 9, 3])]
    [segment] = write(tmp_path, {"purchases": records}).segments
    assert (segment.first_ms, segment.last_ms, segment.rows) == (START_MS + 1, START_MS + 9, 4)
