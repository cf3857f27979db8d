"""`stopbank replay` as it is used: what it says, and how it ends."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import cast

import orjson
import pytest

from models.purchase_fields import PurchaseFields
from rules import intake
from rules.dead_letter import SOURCE_HEADER
from rules.desk_outputs import RECEIVED_HEADER
from rules.fold import Headers, Record
from rules.route import ROUTE_HEADER
from streams.topics import ASSESSMENTS, DEAD_LETTERS, DECISIONS, SIGHTINGS
from tests.integration.commands import Stopbank
from tests.integration.shopping import ACCOUNT_RULES
from tests.streams.replay.life import AT_MS, shop
from tests.streams.replay.recorded import RecordedLine, write_recording
from tests.streams.test_cli import Stopbank as InProcess


def ran(*arguments: object) -> CompletedProcess[str]:
    # No broker is needed, and none is there.
    return Stopbank("127.0.0.1:1").run("replay", *arguments)


@pytest.fixture(scope="module")
def line() -> RecordedLine:
    made = RecordedLine(ACCOUNT_RULES)
    shop(made, 80)
    return made


@pytest.fixture
def equal(line: RecordedLine, tmp_path: Path) -> Path:
    write_recording(tmp_path / "equal", line.topics)
    return tmp_path / "equal"


@pytest.fixture
def altered(line: RecordedLine, tmp_path: Path) -> Path:
    def new(record: Record) -> Record:
        return record._replace(value=(record.value or b"").replace(b'"late":false', b'"late":true'))

    parts = [[new(record) for record in part] for part in line.topics[DECISIONS]]
    write_recording(tmp_path / "altered", {**line.topics, DECISIONS: parts})
    return tmp_path / "altered"


def test_an_equal_recording_is_said_to_be_equal(equal: Path, line: RecordedLine) -> None:
    result = ran(equal)
    decisions = sum(map(len, line.topics[DECISIONS]))
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == f"{equal}: {decisions} decisions equal byte for byte"


def test_differences_are_shown_up_to_a_number_and_end_with_code_1(altered: Path) -> None:
    result = ran(altered, "--show", 2)
    assert result.returncode == 1
    assert result.stdout.count("late: recorded true, replayed false") == 2
    assert "more (`--show` shows more)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith(f"{altered}: ")
    assert ", 0 lost, " in result.stdout.splitlines()[-1]


def test_the_report_is_json(equal: Path, altered: Path) -> None:
    assert orjson.loads(ran(equal, "--json").stdout)["equal"] is True
    result = ran(altered, "--json", "--show", 3)
    report = orjson.loads(result.stdout)
    assert result.returncode == 1
    assert report["equal"] is False
    assert [difference["verdict"] for difference in report["differences"]] == ["altered"] * 3
    assert report["differences"][0]["fields"] == [{"path": "late", "recorded": "true", "replayed": "false"}]


def test_a_place_without_a_recording_is_named(tmp_path: Path) -> None:
    result = ran(tmp_path / "nowhere")
    assert result.returncode == 2
    assert result.stderr.startswith(f"stopbank: {tmp_path}/nowhere/manifest.json: no such file")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speed", "2"], "go with --to-kafka"),
        (["--shift-to-now"], "go with --to-kafka"),
        (["--to-kafka", "--speed", "fast"], "1, another number above 0, or max"),
        (["--to-kafka", "--speed", "-1"], "1, another number above 0, or max"),
        (["--to-kafka", "--json"], "it goes without --to-kafka"),
    ],
)
def test_options_that_do_not_go_together_are_refused(equal: Path, options: list[str], said: str) -> None:
    result = ran(equal, *options)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_ctrl_c_within_the_validation_of_a_record_ends_it(
    stopbank: InProcess, equal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pydantic takes an interrupt for a fault of the record, which would be decided otherwise then."""
    read = intake.read_purchase_fields

    def interrupted(raw: bytes) -> PurchaseFields:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return read(raw)

    monkeypatch.setattr(intake, "read_purchase_fields", interrupted)
    ended = stopbank("replay", equal)
    assert (ended.code, ended.out, ended.err) == (130, "", "")


@pytest.mark.parametrize("topic", [DECISIONS, DEAD_LETTERS, ASSESSMENTS, SIGHTINGS])
@pytest.mark.parametrize("name", [RECEIVED_HEADER, SOURCE_HEADER, ROUTE_HEADER])
def test_a_header_without_a_value_is_compared_as_any_other(
    line: RecordedLine, tmp_path: Path, topic: str, name: str
) -> None:
    """Clients type it as bytes, and other programs write null."""
    part = line.topics[topic][0]
    headers = cast("Headers", ((name, None),))
    foreign = Record(len(part), AT_MS, b"a", b"{}", headers, 0)
    write_recording(tmp_path / "r", {**line.topics, topic: [[*part, foreign], *line.topics[topic][1:]]})
    result = ran(tmp_path / "r")
    assert result.returncode in (0, 1), result.stderr
    assert "decisions equal byte for byte" in result.stdout
