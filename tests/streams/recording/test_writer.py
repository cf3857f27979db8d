"""Writing a recording: whole or not at all, one writer at a time, and on from where it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rules.fold import Record
from streams.recording.errors import RecordingError
from streams.recording.location import Location
from streams.recording.lock import locked
from streams.recording.manifest import MANIFEST, TopicEntry
from streams.recording.reader import Recording
from streams.recording.writer import RecordingWriter, new_recording
from tests.streams.recording.made import manifest_of, some_records, write

DENSE = {"purchases": TopicEntry(begin_offsets=[0, 0], dense=True)}


def begun(place: Path) -> RecordingWriter:
    return RecordingWriter.create(str(place), manifest_of(DENSE))


def offsets(place: Path, partition: int = 0) -> list[int]:
    return [record.offset for record in Recording.open(str(place)).read("purchases", partition)]


def test_nothing_is_there_before_the_first_commit(tmp_path: Path) -> None:
    writer = begun(tmp_path)
    for record in some_records(4):
        writer.append("purchases", record)
    assert writer.flush() == 4
    with pytest.raises(RecordingError, match="no such file"):
        Recording.open(str(tmp_path))
    writer.commit()
    assert offsets(tmp_path) == [0, 1]


def test_what_was_not_committed_is_as_if_it_had_not_been(tmp_path: Path) -> None:
    records = some_records(20)
    write(tmp_path, {"purchases": records[:10]})
    killed = RecordingWriter.resume(str(tmp_path))
    for record in records[10:14]:
        killed.append("purchases", record)
    killed.flush()
    (tmp_path / "purchases/00000/00000000000000000007.parquet.partial").write_bytes(b"half")
    (tmp_path / "manifest.json.partial").write_bytes(b"{")
    assert offsets(tmp_path) == [0, 1, 2, 3, 4]

    writer = RecordingWriter.resume(str(tmp_path))
    assert writer.position("purchases", 0) == 5
    named = {entry.file for entry in writer.manifest.segments}
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")} == {*named, MANIFEST}
    for record in records[10:]:
        writer.append("purchases", record)
    writer.commit()
    assert list(Recording.open(str(tmp_path)).read("purchases", 1)) == records[1::2]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "purchases").mkdir()
    (tmp_path / "purchases" / "mine.parquet").write_bytes(b"x")
    begun(tmp_path).discard()
    assert (tmp_path / "purchases" / "mine.parquet").exists()


@pytest.mark.parametrize("offset", [0, 4, 6])
def test_a_record_that_is_not_the_next_is_refused_and_what_is_recorded_stays(tmp_path: Path, offset: int) -> None:
    write(tmp_path, {"purchases": some_records(10)})
    writer = RecordingWriter.resume(str(tmp_path))
    with pytest.raises(RecordingError, match=f"purchases, partition 0: offset {offset} came where 5 was due"):
        writer.append("purchases", Record(offset, 0, None, None))
    writer.commit()
    assert offsets(tmp_path) == [0, 1, 2, 3, 4]


def test_where_offsets_may_be_missing_only_order_is_asked_for(tmp_path: Path) -> None:
    entries = {"rulesets": TopicEntry(begin_offsets=[3], dense=False)}
    writer = RecordingWriter.create(str(tmp_path), manifest_of(entries))
    for offset in (5, 9):
        writer.append("rulesets", Record(offset, 0, b"k", b"v"))
    writer.advance("rulesets", 0, 12)
    writer.commit()
    assert writer.position("rulesets", 0) == 12
    with pytest.raises(RecordingError, match="offset 11 came where 12 was due"):
        writer.append("rulesets", Record(11, 0, b"k", b"v"))
    assert [record.offset for record in Recording.open(str(tmp_path)).read("rulesets", 0)] == [5, 9]


def test_partitions_may_be_added(tmp_path: Path) -> None:
    write(tmp_path, {"purchases": some_records(10)})
    writer = RecordingWriter.resume(str(tmp_path))
    writer.add_topics({"purchases": TopicEntry(begin_offsets=[0, 0, 0], dense=True)})
    writer.append("purchases", Record(0, 1, None, None, (), 2))
    writer.commit()
    assert Recording.open(str(tmp_path)).partitions("purchases") == 3
    assert offsets(tmp_path, 2) == [0]


def test_a_place_that_holds_a_recording_takes_no_new_one(tmp_path: Path) -> None:
    write(tmp_path, {"purchases": some_records(10)})
    with pytest.raises(RecordingError, match="holds a recording already: name another place"):
        begun(tmp_path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_new_recording_is_whole_or_not_there(tmp_path: Path, error: type[BaseException]) -> None:
    place = tmp_path / "new" / "recording"

    def interrupted() -> None:
        with new_recording(str(place), manifest_of(DENSE)) as writer:
            writer.append("purchases", Record(0, 0, None, None))
            writer.flush()
            assert list(place.rglob("*.parquet"))
            raise error

    with pytest.raises(error):
        interrupted()
    assert not place.exists()
    with new_recording(str(place), manifest_of(DENSE)) as writer:
        writer.append("purchases", Record(0, 0, None, None))
    assert offsets(place) == [0]


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for work in (lambda: begun(tmp_path / "file" / "in").commit(), lambda: lock(tmp_path / "file" / "in")):
        with pytest.raises(RecordingError, match="file/in"):
            work()


def lock(place: Path) -> None:
    with locked(Location(str(place))):
        pass


HOLD = """
import sys, time
from streams.recording.location import Location
from streams.recording.lock import locked
with locked(Location(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_place_has_one_writer_until_that_one_is_gone(tmp_path: Path, end: signal.Signals) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RecordingError, match="another process writes to it"):
            lock(tmp_path)
    finally:
        holder.send_signal(end)
        holder.wait()
    lock(tmp_path)
