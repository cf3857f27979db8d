"""The house: which way imports run, what decides is pure, and the repository names no place."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from streams.broker import kafka
from streams.broker.kafka_jars import kafka_version

PROJECT = Path(__file__).resolve().parents[1]
MOST_LINES = 330

# Which of our packages each may import, beside itself.
MAY_IMPORT = {"models": set[str](), "rules": {"models"}, "streams": {"models", "rules"}}
OURS = {*MAY_IMPORT, "tests", "bench"}

# What a pure step must not reach: the clock, the world outside, chance.
IMPURE = {
    "aiohttp",
    "aiokafka",
    "asyncio",
    "faust",
    "http",
    "kafka",
    "logging",
    "mode",
    "multiprocessing",
    "os",
    "random",
    "requests",
    "secrets",
    "select",
    "signal",
    "socket",
    "ssl",
    "structlog",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}
# The grammar lies beside the code and comes with it, as code does.
READS_ITS_GRAMMAR = PROJECT / "rules" / "language" / "parser.py", "read_text"
IMPURE_CALLS = {"now", "utcnow", "today", "open", "read_text", "read_bytes", "write_text", "write_bytes", "default_rng"}

SOURCES = sorted(path for package in MAY_IMPORT for path in (PROJECT / package).rglob("*.py"))
PURE = [path for path in SOURCES if path.relative_to(PROJECT).parts[0] in ("models", "rules")]

# Pieces, so that this file does not hold what it looks for.
HOSTS = re.compile(
    "|".join(
        [
            r"pypi\.org",
            r"python" + r"hosted",
            r"npmjs\.",
            r"registry\.[a-z0-9-]+\.(org|com|io|net|dev|cn)",
            r"maven\.org",
            r"maven\.apache\.org/(?!POM/4\.0\.0)",
            r"(docker|ghcr|quay|gcr)\.io",
            r"repo1?\.",
            r"crates\.io",
            r"artifact" + r"ory",
            r"(index|find-links)" + r"(-url)?[ =]+\S*:/",
        ]
    ),
    re.IGNORECASE,
)
# An address may name this machine, or a name space that nobody opens.
ADDRESS = re.compile(r"(?:https?|ftp)://([^/\s\"'`)>{}:]+)")
NO_DOWNLOADS = {"127.0.0.1", "localhost", "json-schema.org", "maven.apache.org", "www.w3.org"}
PLACES = re.compile(r"(?<![\w./~-])/(?:work|root|home|Users)/")
TEMPORARY = re.compile(r"(?<![\w.~-])/tmp/")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of what a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.lineno, node.module or ""


def shipped() -> list[Path]:
    """Every text file that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=PROJECT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    paths = [PROJECT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8_000]]


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    name = path.relative_to(PROJECT)
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        yield f"{name}:{number}", line


def test_imports_run_from_streams_to_rules_to_models() -> None:
    wrong = [
        f"{path.relative_to(PROJECT)}:{line} imports {name}"
        for path in SOURCES
        for line, name in imported(path)
        for package in [path.relative_to(PROJECT).parts[0]]
        if (top := name.partition(".")[0]) in OURS - {package} and top not in MAY_IMPORT[package]
    ]
    assert not wrong, "\n".join(wrong)


def test_models_and_rules_import_no_clock_no_world_and_no_chance() -> None:
    wrong = [
        f"{path.relative_to(PROJECT)}:{line} imports {name}"
        for path in PURE
        for line, name in imported(path)
        if name.partition(".")[0] in IMPURE or name.startswith("numpy.random")
    ]
    assert not wrong, "\n".join(wrong)


def test_models_and_rules_call_no_clock_and_open_no_file() -> None:
    wrong: list[str] = []
    for path in PURE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
                if called in IMPURE_CALLS and (path, called) != READS_ITS_GRAMMAR:
                    wrong.append(f"{path.relative_to(PROJECT)}:{node.lineno} calls {called}")
    assert not wrong, "\n".join(wrong)


def test_no_source_file_outgrows_one_concept() -> None:
    long = {str(path.relative_to(PROJECT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES}


def test_no_file_names_a_registry_or_an_address_to_download_from() -> None:
    wrong = [
        f"{where}: {line.strip()[:120]}"
        for path in shipped()
        if path != Path(__file__)
        for where, line in lines_of(path)
        if HOSTS.search(line) or not set(ADDRESS.findall(line)) <= NO_DOWNLOADS
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    wrong = [
        f"{where}: {line.strip()[:120]}"
        for path in shipped()
        if path != Path(__file__)
        for where, line in lines_of(path)
        if PLACES.search(line) or (TEMPORARY.search(line) and "tests" not in path.relative_to(PROJECT).parts)
    ]
    assert not wrong, "\n".join(wrong)


def compose_services() -> dict[str, dict[str, Any]]:
    reader: Any = YAML(typ="safe", pure=True)
    return reader.load(PROJECT / "docker-compose.yml")["services"]


def test_compose_runs_kafka_with_the_settings_that_the_tests_run_it_with() -> None:
    tested = {**kafka.SETTINGS, **kafka.copies(1)}
    composed: dict[str, str] = compose_services()["kafka"]["environment"]
    wanted = {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in tested.items()}
    assert {name: composed.get(name) for name in wanted} == wanted
    places = {"CLUSTER_ID", "KAFKA_NODE_ID", "KAFKA_LOG_DIRS", "KAFKA_CONTROLLER_QUORUM_VOTERS"}
    others = {name for name in composed if name not in wanted | dict.fromkeys(places) and "LISTENER" not in name}
    assert not others, "settings that the tests do not run Kafka with"


def test_compose_runs_the_version_of_kafka_that_the_tests_run() -> None:
    assert compose_services()["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_compose_lets_workers_be_scaled() -> None:
    worker = compose_services()["worker"]
    assert not {"container_name", "ports", "hostname"} & set(worker)
    assert worker["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "topics": {"condition": "service_completed_successfully"},
    }


def test_every_kafka_client_waits_before_it_looks_for_a_lost_broker_again() -> None:
    bare: list[str] = []
    for path in SOURCES:
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        wrapped = {argument for call in calls if _name_called(call) == "unhurried" for argument in call.args}
        clients = [call for call in calls if (_name_called(call) or "").startswith("AIOKafka")]
        bare += [f"{path.relative_to(PROJECT)}:{call.lineno}" for call in clients if call not in wrapped]
    assert not bare, f"these clients are not `unhurried`: {bare}"


def _name_called(call: ast.Call) -> str | None:
    return call.func.id if isinstance(call.func, ast.Name) else None
