"""`stopbank recording` and `stopbank record` without a broker: what they say, and one clear error for what is wrong."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from models.label import InvalidLabel
from models.purchase import InvalidPurchase
from rules.fold import Record
from streams.produce import InvalidRecords
from streams.recording import importing, info, selection
from streams.recording.info import describe
from streams.recording.location import Location
from streams.recording.lock import locked
from streams.recording.manifest import MANIFEST
from streams.recording.reader import Recording
from streams.simulate import SimulationConfig, simulate, write_events
from streams.topics import PURCHASES
from tests.integration.commands import wait_until
from tests.streams.recording.made import START_MS, lived, record_line
from tests.streams.test_cli import Stopbank, assert_one_error

PURCHASE = {
    "transaction_id": "t-1",
    "account_id": "a-1",
    "amount": 1_000,
    "currency": "CNY",
    "event_time": START_MS,
    "merchant_id": "m-1",
    "mcc": "5411",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "recording"
    record_line(lived(1, 60), place)
    return place


def read(place: Path, topic: str) -> list[Record]:
    recording = Recording.open(str(place))
    return [r for partition in range(recording.partitions(topic)) for r in recording.read(topic, partition)]


def lines_file(folder: Path, *lines: Mapping[str, object] | str) -> Path:
    path = folder / "lines.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


# -- verify, info, slice ----------------------------------------------------------------------------


def test_a_whole_recording_is_said_to_be_whole(stopbank: Stopbank, place: Path) -> None:
    (place / "notes.txt").write_text("mine")
    rows = sum(entry.rows for entry in Recording.open(str(place)).manifest.segments)
    ran = stopbank("recording", "verify", place)
    assert ran.code == 0
    stray, verdict = ran.out.splitlines()
    assert stray == f"{place}/notes.txt: no part of the recording"
    assert verdict.startswith(f"{place}: whole: {rows} records in ")


def test_each_damage_is_told_with_its_place_and_exit_code_1(stopbank: Stopbank, place: Path) -> None:
    segments = Recording.open(str(place)).manifest.segments
    (place / segments[0].file).unlink()
    (place / segments[1].file).write_bytes(b"x")
    ran = stopbank("recording", "verify", place)
    assert ran.code == 1
    assert [entry.file in line for entry, line in zip(segments, ran.err.splitlines(), strict=False)][:2] == [True, True]
    assert ran.err.splitlines()[2] == f"2 of {len(segments)} segments are damaged"


def test_a_damaged_manifest_is_a_damage(stopbank: Stopbank, place: Path) -> None:
    (place / MANIFEST).write_bytes((place / MANIFEST).read_bytes()[:-10])
    ran = stopbank("recording", "verify", place)
    assert ran.code == 1
    assert f"{place}/manifest.json" in ran.err
    assert_one_error(stopbank("recording", "info", place), "manifest.json")


@pytest.mark.parametrize("words", [["verify"], ["info"], ["slice", "--from", "2026-03-02T06:00:00Z"]])
def test_a_place_without_a_recording_is_told(stopbank: Stopbank, tmp_path: Path, words: list[str]) -> None:
    command, *options = words
    places = [tmp_path / "nowhere", *([tmp_path / "new"] if command == "slice" else [])]
    ran = stopbank("recording", command, *places, *options)
    assert_one_error(ran, f"{tmp_path}/nowhere/manifest.json: no such file", "stopbank record")


def test_info_tells_what_is_there(stopbank: Stopbank, place: Path) -> None:
    described = describe(Recording.open(str(place)))
    told = json.loads(stopbank("recording", "info", place, "--json").out)
    purchases = next(topic for topic in told["topics"] if topic["topic"] == PURCHASES)
    records = read(place, PURCHASES)
    assert purchases["records"] == len(records) == 60
    assert purchases["first_ms"] == min(record.timestamp for record in records)
    assert purchases["last_ms"] == max(record.timestamp for record in records)
    assert sum(purchases["end_offsets"]) == 60
    assert [version["by"] for version in told["versions"]] == ["a test"]
    assert told["slice_of"] is None
    assert sum(told["labels"].values()) == len(read(place, "labels"))
    shown = stopbank("recording", "info", place).out
    for topic in described.topics:
        assert f"\n{topic.topic} " in shown
    assert described.versions[0].version in shown


def test_a_slice_is_cut_and_says_so(stopbank: Stopbank, place: Path, tmp_path: Path) -> None:
    middle = START_MS + 3 * 3_600_000
    ran = stopbank("recording", "slice", place, tmp_path / "s", "--from", "2026-03-02T09:00:00Z")
    assert ran.code == 0
    assert ran.out.startswith("wrote ")
    assert Recording.open(str(tmp_path / "s")).manifest.slice_of is not None
    assert all(record.timestamp >= middle for record in read(tmp_path / "s", PURCHASES))
    assert "from 2026-03-02 09:00:00" in stopbank("recording", "info", tmp_path / "s").out
    by_ms = stopbank("recording", "slice", place, tmp_path / "t", "--from", middle)
    assert by_ms.code == 0
    assert read(tmp_path / "s", PURCHASES) == read(tmp_path / "t", PURCHASES)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say what to cut by"),
        (["--from", "yesterday"], "'yesterday' is no time: write it as 2026-10-02T00:00:00Z"),
        (["--from", "2026-03-02T09:00:00"], "is no time"),
        (["--from", "1772442000"], "is no time"),
        (["--from", "2026-03-02T09:00:00Z", "--until", "2026-03-02T09:00:00Z"], "--until is not after --from"),
    ],
)
def test_a_cut_that_is_none_is_told(
    stopbank: Stopbank, place: Path, tmp_path: Path, options: list[str], told: str
) -> None:
    ran = stopbank("recording", "slice", place, tmp_path / "s", *options)
    assert ran.code == 2
    assert told in " ".join(ran.err.split())
    assert not (tmp_path / "s").exists()


def test_damage_is_found_by_a_slice_which_then_leaves_nothing(stopbank: Stopbank, place: Path, tmp_path: Path) -> None:
    file = Recording.open(str(place)).manifest.segments_of("assessments", 1)[-1].file
    (place / file).write_bytes(b"x")
    ran = stopbank("recording", "slice", place, tmp_path / "s", "--from", "2026-03-02T09:00:00Z")
    assert_one_error(ran, file)
    assert not (tmp_path / "s").exists()


# -- import -----------------------------------------------------------------------------------------


def test_a_simulations_file_is_imported_as_it_is(stopbank: Stopbank, tmp_path: Path) -> None:
    events = simulate(SimulationConfig(3, 20, 200, START_MS, 3_600, 0.1)).events
    write_events(events, tmp_path / "events.jsonl.gz")
    ran = stopbank("recording", "import", tmp_path / "events.jsonl.gz", tmp_path / "r", "--partitions", 3)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"wrote {len(events)} records to {tmp_path}/r")
    for topic in ("purchases", "accounts", "repayments", "labels"):
        wanted = sorted((event.key.encode(), event.at_ms) for event in events if event.topic == topic)
        assert sorted((record.key or b"", record.timestamp) for record in read(tmp_path / "r", topic)) == wanted
    recording = Recording.open(str(tmp_path / "r"))
    assert recording.manifest.ruleset == "checkout"
    assert recording.partitions("labels") == 3
    first = next(event for event in events if event.topic == "purchases")
    assert first.value in [json.loads(record.value or b"") for record in read(tmp_path / "r", PURCHASES)]
    assert stopbank("recording", "verify", tmp_path / "r").code == 0


def test_plain_records_go_to_the_topic_of_their_kind(stopbank: Stopbank, tmp_path: Path) -> None:
    account = {"account_id": "a-1", "currency": "CNY", "event_time": "2026-03-02T06:00:00.250Z"}
    kinds = {
        "purchases": {**PURCHASE, "event_time": START_MS + 5},
        "labels": {"transaction_id": "t-1", "account_id": "a-1", "verdict": "fraud", "event_time": START_MS + 9},
        "accounts": {**account, "credit_limit": 100},
        "repayments": {**account, "repayment_id": "r-1", "amount": 5},
        "settlements": {"transaction_id": "t-1", "account_id": "a-1", "kind": "void", "event_time": START_MS + 7},
    }
    stamps = {
        "purchases": START_MS + 5,
        "labels": START_MS + 9,
        "accounts": START_MS + 250,
        "repayments": START_MS + 250,
        "settlements": START_MS + 7,
    }
    file = lines_file(tmp_path, *reversed(kinds.values()))
    assert stopbank("recording", "import", file, tmp_path / "r").code == 0
    for topic, value in kinds.items():
        [record] = read(tmp_path / "r", topic)
        assert (record.key, record.timestamp, json.loads(record.value or b"")) == (b"a-1", stamps[topic], value)


def test_several_files_make_one_recording_in_any_order(stopbank: Stopbank, tmp_path: Path) -> None:
    later = tmp_path / "later.jsonl.gz"
    with gzip.open(later, "wt") as packed:
        packed.write(json.dumps({**PURCHASE, "event_time": START_MS - 1_000}))
    ran = stopbank("recording", "import", lines_file(tmp_path, PURCHASE), later, tmp_path / "r", "--partitions", 1)
    assert ran.code == 0
    assert [(r.offset, r.timestamp) for r in read(tmp_path / "r", PURCHASES)] == [(0, START_MS), (1, START_MS - 1_000)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "lines.jsonl:2: not JSON"),
        ("[1]", "lines.jsonl:2: not a JSON object"),
        ({"transaction_id": "t-2"}, "lines.jsonl:2: neither a purchase"),
        ({"account_id": "a-2"}, "lines.jsonl:2: event_time: null is not a time"),
        ({**PURCHASE, "event_time": 1_772_431_200}, "lines.jsonl:2: event_time: 1772431200 is not a time"),
        ({"topic": "purchases", "key": "a", "at_ms": "x", "value": {}}, "lines.jsonl:2: at_ms: 'x' is not a time"),
        ({"topic": "decisions", "key": "a", "at_ms": START_MS, "value": {}}, "`topic` is 'decisions'"),
    ],
)
def test_a_line_that_is_wrong_is_named_and_nothing_is_written(
    stopbank: Stopbank, tmp_path: Path, line: Mapping[str, object] | str, told: str
) -> None:
    ran = stopbank("recording", "import", lines_file(tmp_path, PURCHASE, line), tmp_path / "r")
    assert_one_error(ran, told)
    assert not (tmp_path / "r").exists()


def test_a_file_that_is_not_there_is_told(stopbank: Stopbank, tmp_path: Path) -> None:
    assert_one_error(stopbank("recording", "import", tmp_path / "none.jsonl", tmp_path / "r"), "none.jsonl", "no such")
    assert not (tmp_path / "r").exists()


def test_an_import_that_ctrl_c_ends_leaves_nothing(tmp_path: Path) -> None:
    pipe, place = tmp_path / "endless.jsonl", tmp_path / "r"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "streams.cli", "recording", "import", str(pipe), str(place)]
    importing = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with pipe.open("w") as endless:
        endless.write(json.dumps(PURCHASE) + "\n")
        endless.flush()
        wait_until(place.exists, "the import to begin", importing)
        importing.send_signal(signal.SIGINT)
        _, told = importing.communicate(timeout=30)
    assert importing.returncode == 130
    assert not told
    assert not place.exists()


# -- places, and record -----------------------------------------------------------------------------


def test_a_place_that_is_taken_is_refused(stopbank: Stopbank, place: Path, tmp_path: Path) -> None:
    before = (place / MANIFEST).read_bytes()
    ran = stopbank("recording", "import", lines_file(tmp_path, PURCHASE), place)
    assert_one_error(ran, f"{place}: holds a recording already: name another place")
    assert_one_error(stopbank("recording", "slice", place, place, "--account", "a-1"), "holds a recording already")
    assert (place / MANIFEST).read_bytes() == before


def test_a_place_in_use_is_refused_before_a_broker_is_asked(stopbank: Stopbank, tmp_path: Path) -> None:
    with locked(Location(str(tmp_path))):
        assert_one_error(stopbank("record", tmp_path), f"{tmp_path}: another process writes to it")


def test_record_tells_where_no_broker_answers_and_leaves_nothing(stopbank: Stopbank, tmp_path: Path) -> None:
    assert_one_error(stopbank("record", tmp_path / "r"), "no broker answers at 127.0.0.1")
    assert not (tmp_path / "r").exists()
    assert_one_error(stopbank("record", "nowhere://bucket/r"), "nowhere://bucket/r")


# -- Ctrl-C where records are validated -------------------------------------------------------------


def swallowed(error: type[Exception]) -> Callable[..., Any]:
    """A validation within which Ctrl-C is pressed: pydantic takes that for a fault of the record."""

    def validate(*_: object) -> Any:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise error("it was the interrupt")

    return validate


def test_a_slice_that_ctrl_c_ends_within_a_purchase_leaves_nothing(
    stopbank: Stopbank, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Taken for a purchase that can't be read it would be left out, and nobody told.
    monkeypatch.setattr(selection, "decode_purchase", swallowed(InvalidPurchase))
    ran = stopbank("recording", "slice", place, tmp_path / "cut", "--account", "a-1")
    assert (ran.code, ran.out, ran.err) == (130, "", "")
    assert not (tmp_path / "cut").exists()


def test_info_that_ctrl_c_ends_within_a_label_says_nothing(
    stopbank: Stopbank, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(info, "decode_label", swallowed(InvalidLabel))
    ran = stopbank("recording", "info", place)
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def test_an_import_that_ctrl_c_ends_within_a_line_names_no_line(
    stopbank: Stopbank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_record", swallowed(InvalidRecords))
    ran = stopbank("recording", "import", lines_file(tmp_path, PURCHASE), tmp_path / "r")
    assert (ran.code, ran.out, ran.err) == (130, "", "")
    assert not (tmp_path / "r").exists()
