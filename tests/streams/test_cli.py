"""The command line without a broker: help that teaches, and one clear error for what goes wrong."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from streams.broker.broker import free_port
from streams.cli import app
from streams.produce import read_lines
from tests.streams.command import Ran, Run, runner

RULES = Path(__file__).resolve().parents[2] / "examples" / "rules"
CHECKOUT = RULES / "checkout.yaml"


Stopbank = Run


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings but the test's, and the logs as they were."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "STOPBANK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def stopbank(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Stopbank:
    """Runs the command as its script does."""

    return runner(monkeypatch, capfd)


def assert_one_error(ran: Ran, *told: str) -> None:
    assert ran.code == 2
    assert ran.err.startswith("stopbank: ")
    assert "Traceback" not in ran.err
    assert len(ran.err.splitlines()) == 1
    for part in told:
        assert part in ran.err


# -- help -------------------------------------------------------------------------------------------

COMMANDS = (
    "demo", "worker", "topics", "topics create", "rules", "rules check", "rules test", "rules publish", "rules list",
    "rules rollback", "simulate", "produce", "tail", "record", "recording", "recording verify", "recording info",
    "recording slice", "recording import", "replay", "backtest", "tune", "keys", "keys create", "keys list",
    "keys rotate", "keys revoke", "schema", "settings", "doctor",
)  # fmt: skip


def test_the_first_help_names_every_command_and_how_to_begin(stopbank: Stopbank) -> None:
    ran = stopbank("--help")
    assert ran.code == 0
    for command in {command.split()[0] for command in COMMANDS}:
        assert f" {command} " in ran.out
    for step in ("stopbank demo", "stopbank topics create", "stopbank rules publish", "stopbank doctor"):
        assert step in ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_stand_on_lines_of_their_own(stopbank: Stopbank, command: str) -> None:
    """Markdown would join lines that it takes for prose, and swallow asterisks."""
    command_or_group: Any = get_command(app)
    for name in command.split():
        command_or_group = command_or_group.commands[name]
    text = cleandoc(command_or_group.help).splitlines()
    examples = [line.strip() for line in text if line.strip().startswith("stopbank ")]
    shown = [line.strip() for line in stopbank(*command.split(), "--help").out.splitlines()]
    assert not [line for line in examples if line not in shown]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_every_option(stopbank: Stopbank, command: str) -> None:
    ran = stopbank(*command.split(), "--help")
    assert ran.code == 0
    assert f"stopbank {command}" in ran.out
    options = [line for line in ran.out.splitlines() if line.startswith("│") and line.lstrip("│ *").startswith("--")]
    assert options
    for line in options:
        assert len(line.strip("│ ").split("  ")) > 1, f"no help: {line}"


def test_help_lists_the_topics_internal_ones_too(stopbank: Stopbank) -> None:
    told = stopbank("topics", "--help").out
    before, internal, after = told.partition("Internal")
    assert "purchases.dlq" in before
    assert internal
    assert "assessments-changelog" in after


def test_a_slip_in_a_command_is_answered_with_the_nearest(stopbank: Stopbank) -> None:
    ran = stopbank("schmea")
    assert ran.code == 2
    assert "Did you mean 'schema'" in ran.err


# -- settings ---------------------------------------------------------------------------------------


def test_settings_are_listed_with_their_meaning_and_passwords_are_hidden(
    stopbank: Stopbank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "s3cret")
    monkeypatch.setenv("STOPBANK_HTTP_PORT", "9100")
    ran = stopbank("settings")
    assert ran.code == 0
    assert "s3cret" not in ran.out + ran.err
    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    assert "(hidden)" in lines["KAFKA_SASL_PASSWORD"]
    assert "9100" in lines["STOPBANK_HTTP_PORT"]
    assert "/readyz" in lines["STOPBANK_HTTP_PORT"]


@pytest.mark.parametrize("command", ["topics create", "tail", "rules list", "worker", "settings"])
def test_a_setting_that_can_not_be_used_is_one_error(
    stopbank: Stopbank, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "TLS")
    assert_one_error(stopbank(*command.split()), "KAFKA_SECURITY_PROTOCOL: 'TLS' is not one of PLAINTEXT")


def test_a_missing_certificate_is_one_error(
    stopbank: Stopbank, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("KAFKA_SSL_CAFILE", str(tmp_path / "ca.pem"))
    assert_one_error(stopbank("topics", "create"), "KAFKA_SSL_CAFILE", str(tmp_path), "No such file")


# -- no broker --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["topics create", "tail", "rules list", "rules rollback", f"rules publish {CHECKOUT}"]
)
def test_where_no_broker_answers_the_address_and_the_setting_are_told(stopbank: Stopbank, command: str) -> None:
    assert_one_error(stopbank(*command.split()), "127.0.0.1:", "connection refused", "KAFKA_BOOTSTRAP_SERVERS")


def test_a_host_that_does_not_exist_is_told_as_such(stopbank: Stopbank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.invalid:9092")
    assert_one_error(stopbank("topics", "create"), "kafka.invalid:9092", "spelt right?")


def test_the_doctor_says_what_is_wrong_and_ends_with_1(stopbank: Stopbank) -> None:
    ran = stopbank("doctor")
    assert ran.code == 1
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["ok", "versions"],
        ["ok", "settings"],
        ["no", "broker"],
    ]
    assert "connection refused" in ran.out
    assert ran.err == ""


def test_the_doctor_tells_a_bad_setting(stopbank: Stopbank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPBANK_HTTP_PORT", "http")
    ran = stopbank("doctor")
    assert ran.code == 1
    assert "no  settings  STOPBANK_HTTP_PORT: 'http' is not a port" in ran.out


# -- files ------------------------------------------------------------------------------------------


@pytest.fixture
def unreadable(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.yaml").write_bytes("ruleset: caf\xe9".encode("latin-1"))
    return {"missing": tmp_path / "missing", "folder": tmp_path / "folder", "latin": tmp_path / "latin.yaml"}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("missing", "No such file"),
        ("folder", "Is a directory"),
        ("latin", "line 1 is not UTF-8: save it in that encoding"),
    ],
)
@pytest.mark.parametrize("command", ["check", "publish"])
def test_a_rule_file_that_can_not_be_read_is_one_error(
    stopbank: Stopbank, unreadable: dict[str, Path], command: str, kind: str, told: str
) -> None:
    assert_one_error(stopbank("rules", command, unreadable[kind]), str(unreadable[kind]), told)


@pytest.mark.parametrize(("kind", "told"), [("missing", "no such file"), ("folder", "is a directory")])
def test_a_recording_that_can_not_be_read_is_one_error(
    stopbank: Stopbank, unreadable: dict[str, Path], kind: str, told: str
) -> None:
    assert_one_error(stopbank("produce", unreadable[kind]), f"{unreadable[kind]}: {told}")


def test_a_wrong_line_is_one_error_and_no_broker_is_asked(stopbank: Stopbank, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"account_id": "a"}\n[]\n')
    assert_one_error(stopbank("produce", tmp_path / "bad.jsonl"), "bad.jsonl:2: not a JSON object")


@pytest.mark.parametrize("where", ["missing/x.jsonl", ""])
def test_a_recording_that_can_not_be_written_is_one_error(stopbank: Stopbank, tmp_path: Path, where: str) -> None:
    assert_one_error(stopbank("simulate", "--purchases", 10, "--output", tmp_path / where), str(tmp_path / where))


# -- simulate, rules check, schema ------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(stopbank: Stopbank, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.jsonl.gz", "b.jsonl.gz", "c.jsonl.gz")]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        options = ("--seed", seed, "--accounts", 20, "--purchases", 200)
        assert stopbank("simulate", "--output", file, *options).code == 0
    first, second, other = (file.read_bytes() for file in files)
    assert first == second != other
    assert sum(line.topic == "purchases" for line in read_lines(files[0])) == 200


def test_a_start_in_another_century_is_refused(stopbank: Stopbank, tmp_path: Path) -> None:
    ran = stopbank("simulate", "--output", tmp_path / "a.jsonl", "--start", "1970-01-01")
    assert ran.code == 2
    assert "years 2000 to 2099" in ran.err


def test_rules_that_can_be_published_give_0(stopbank: Stopbank) -> None:
    ran = stopbank("rules", "check", *sorted(RULES.glob("*.yaml")))
    assert ran.code == 0
    assert "checkout.yaml: 12 rules" in ran.out


def test_rules_with_errors_give_1_and_their_place(stopbank: Stopbank, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(CHECKOUT.read_text().replace("count(device_id", "cuont(device_id"))
    ran = stopbank("rules", "check", CHECKOUT, tmp_path / "bad.yaml")
    assert ran.code == 1
    assert "did you mean `count`?" in ran.err
    assert "^" in ran.err


def test_an_unreadable_file_among_rules_gives_2(stopbank: Stopbank, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("rules: 1")
    assert_one_error(stopbank("rules", "check", tmp_path / "bad.yaml", tmp_path / "missing.yaml"), "missing.yaml")


def test_rules_with_errors_are_not_published(stopbank: Stopbank, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("rules: 1")
    ran = stopbank("rules", "publish", tmp_path / "bad.yaml")
    assert ran.code == 2
    assert "bad.yaml:1:" in ran.err


def test_schemas_are_printed_all_or_one(stopbank: Stopbank) -> None:
    schemas: dict[str, Any] = json.loads(stopbank("schema").out)
    assert {"purchase", "decision", "credit-limit", "repayment", "label", "ruleset"} <= schemas.keys()
    for name, schema in schemas.items():
        assert json.loads(stopbank("schema", name).out) == schema


def test_a_schema_that_is_not_there_is_answered_with_the_nearest(stopbank: Stopbank) -> None:
    ran = stopbank("schema", "purchas")
    assert ran.code == 2
    assert "did you mean `purchase`?" in ran.err


def test_approvals_can_not_be_tailed_apart(stopbank: Stopbank) -> None:
    ran = stopbank("tail", "--action", "approve")
    assert ran.code == 2
    assert "use flag or block" in ran.err


def test_a_command_imports_nothing_that_only_others_need() -> None:
    """A worker holds its imports in memory for as long as it runs."""
    code = (
        "import sys, streams.cli.worker, streams.cli; print(*sorted({'pyarrow', 'plotly', 'pytest'} & {*sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
