"""Whatever is altered, cut off or taken away is found, and its place named."""

from __future__ import annotations

import os
import random
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.recording.errors import RecordingError
from streams.recording.location import Location
from streams.recording.manifest import MANIFEST, Manifest, SegmentEntry, TopicEntry, write_manifest
from streams.recording.reader import Recording
from streams.recording.verify import verify
from streams.recording.writer import RecordingWriter
from tests.streams.recording.made import manifest_of, some_records, write

TRIES = 15


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "recording"
    write(place, {"purchases": some_records(60), "labels": some_records(20)}, each=20)
    return place


def damages(place: Path) -> list[str]:
    """What is said of a recording by those who read all of it."""
    try:
        return verify(Recording.open(str(place))).damages
    except RecordingError as error:
        return [str(error)]


def manifest_at(place: Path) -> Manifest:
    return Recording.open(str(place)).manifest


def reseal(place: Path, manifest: Manifest) -> None:
    write_manifest(Location(str(place)), manifest)


def with_segment(manifest: Manifest, number: int, **changes: Any) -> Manifest:
    segments = list(manifest.segments)
    segments[number] = segments[number].model_copy(update=changes)
    return manifest.model_copy(update={"segments": segments})


def replace_segment(place: Path, number: int, content: bytes) -> SegmentEntry:
    """Put another file in a segment's place, its size and checksum in the manifest made to fit."""
    manifest = manifest_at(place)
    entry = manifest.segments[number]
    (place / entry.file).write_bytes(content)
    reseal(place, with_segment(manifest, number, size_bytes=len(content), sha256=sha256(content).hexdigest()))
    return entry


def test_what_nobody_touched_is_whole(place: Path) -> None:
    verdict = verify(Recording.open(str(place)))
    assert not verdict.damages
    assert not verdict.strays
    assert (verdict.records, verdict.segments) == (80, 8)


def test_one_altered_byte_anywhere_is_found(place: Path) -> None:
    seed = int.from_bytes(os.urandom(4))
    rng = random.Random(seed)
    files = sorted(path for path in place.rglob("*") if path.is_file())
    assert len(files) == 9
    for file in files:
        whole = file.read_bytes()
        for _ in range(TRIES):
            position, other = rng.randrange(len(whole)), rng.randrange(1, 256)
            altered = bytearray(whole)
            altered[position] ^= other
            file.write_bytes(altered)
            found = damages(place)
            assert len(found) == 1, f"seed {seed}: byte {position} of {file} ^ {other}: {found}"
            assert str(file.relative_to(place)) in found[0]
        file.write_bytes(whole)
    assert not damages(place)


@pytest.mark.parametrize("kept", [0, 1, 4, 100, -1])
def test_a_file_that_is_cut_off_is_found(place: Path, kept: int) -> None:
    for file in (MANIFEST, manifest_at(place).segments[0].file):
        whole = (place / file).read_bytes()
        (place / file).write_bytes(whole[:kept])
        [found] = damages(place)
        assert file in found
        (place / file).write_bytes(whole)


def test_a_truncated_parquet_file_is_found_even_where_the_manifest_fits(place: Path) -> None:
    content = (place / manifest_at(place).segments[0].file).read_bytes()
    entry = replace_segment(place, 0, content[:-30])
    [found] = damages(place)
    assert entry.file in found
    assert "not a Parquet file" in found


def test_other_columns_are_found_even_where_the_manifest_fits(place: Path) -> None:
    table = pa.Table.from_pydict({"offset": [0], "value": [b"x"]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)  # pyright: ignore[reportUnknownMemberType]  # pyarrow is typed in part only
    entry = replace_segment(place, 0, sink.getvalue().to_pybytes())
    [found] = damages(place)
    assert entry.file in found
    assert "its columns are not those of a recording: offset, value" in found


def test_the_records_of_another_partition_are_found(place: Path) -> None:
    manifest = manifest_at(place)
    first, other = manifest.segments[0], manifest.segments[1]
    assert (first.partition, other.partition) == (0, 1)
    replace_segment(place, 0, (place / other.file).read_bytes())
    [found] = damages(place)
    assert first.file in found
    assert "partition [1]" in found


def test_a_segment_that_is_gone_is_found(place: Path) -> None:
    file = manifest_at(place).segments[3].file
    (place / file).unlink()
    [found] = damages(place)
    assert found.endswith(f"{file}: no such file: is it moved or deleted?")


def test_every_damage_is_named(place: Path) -> None:
    segments = manifest_at(place).segments
    for entry in segments[:3]:
        (place / entry.file).write_bytes(b"PAR1")
    found = damages(place)
    assert [entry.file in damage for entry, damage in zip(segments, found, strict=False)] == [True] * 3


def test_a_gap_between_segments_is_refused_when_it_is_opened(place: Path) -> None:
    manifest = manifest_at(place)
    mine = manifest.segments_of("purchases", 1)
    reseal(place, manifest.model_copy(update={"segments": [e for e in manifest.segments if e is not mine[1]]}))
    [found] = damages(place)
    assert f"a gap in purchases, partition 1: offsets {mine[1].begin_offset} to {mine[1].end_offset - 1}" in found


def test_an_overlap_of_segments_is_refused_when_it_is_opened(place: Path) -> None:
    manifest = manifest_at(place)
    reseal(place, manifest.model_copy(update={"segments": [*manifest.segments, manifest.segments[-1]]}))
    assert "an overlap in labels, partition" in damages(place)[0]


def test_a_segment_of_what_was_not_recorded_is_refused(place: Path) -> None:
    manifest = manifest_at(place)
    reseal(place, with_segment(manifest, 0, topic="decisions"))
    assert "of a topic or partition that was not recorded" in damages(place)[0]


def test_a_hole_inside_a_segment_is_found_where_every_offset_must_be_there(tmp_path: Path) -> None:
    records = [record for record in some_records(20, 1) if record.offset != 7]
    entry = {"rulesets": TopicEntry(begin_offsets=[0], dense=False)}
    writer = RecordingWriter.create(str(tmp_path), manifest_of(entry))
    for record in records:
        writer.append("rulesets", record)
    writer.commit()
    assert not damages(tmp_path)
    topics = {"rulesets": entry["rulesets"].model_copy(update={"dense": True})}
    reseal(tmp_path, writer.manifest.model_copy(update={"topics": topics}))
    assert "a gap: offset 7 is missing" in damages(tmp_path)[0]


def test_offsets_other_than_the_manifests_are_found(place: Path) -> None:
    manifest = manifest_at(place)
    last = manifest.segments_of("labels", 0)[-1]
    number = manifest.segments.index(last)
    reseal(place, with_segment(manifest, number, end_offset=last.end_offset + 1))
    assert "is missing" in damages(place)[0]
    reseal(place, with_segment(manifest, number, rows=last.rows + 1))
    assert f"{last.rows} records, the manifest says {last.rows + 1}" in damages(place)[0]


def test_a_manifest_of_another_format_or_program_is_refused(place: Path) -> None:
    manifest = manifest_at(place)
    reseal(place, manifest.model_copy(update={"format": 2}))
    assert "format 2, and this Stopbank reads 1" in damages(place)[0]
    (place / MANIFEST).write_bytes(orjson.dumps({"a": 1}))
    assert "it is damaged, or another program's" in damages(place)[0]


def test_files_that_belong_to_nothing_are_named_and_do_no_harm(place: Path) -> None:
    (place / "purchases" / "notes.txt").write_text("mine")
    shutil.copy(place / manifest_at(place).segments[0].file, place / "purchases/00000/00000000000000000777.parquet")
    verdict = verify(Recording.open(str(place)))
    assert verdict.strays == ["purchases/00000/00000000000000000777.parquet", "purchases/notes.txt"]
    assert not verdict.damages
