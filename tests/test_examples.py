"""The example of a team's own repository, used as they would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.recording.reader import Recording

PROJECT = Path(__file__).resolve().parents[1]
EXAMPLE = PROJECT / "examples" / "rules-repository"
GOLDEN_TEST = "tests/test_golden.py::test_the_winter_is_decided_as_before"
MOST_BYTES = 300_000

Ran = subprocess.CompletedProcess[str]
Run = Callable[..., Ran]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the repository."""
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    return shutil.copytree(EXAMPLE, tmp_path / "repository", ignore=ignored)


@pytest.fixture
def run(copied: Path) -> Run:
    """Runs pytest there, with this plugin and no other."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "STOPBANK_"))}
    environment = {**own, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(PROJECT)}

    def run(*arguments: str) -> Ran:
        command = [sys.executable, "-m", "pytest", "-p", "streams.pytest_plugin", *arguments]
        return subprocess.run(command, cwd=copied, env=environment, capture_output=True, text=True, check=False)

    return run


def changed(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_it_passes_as_it_is(run: Run) -> None:
    ran = run()
    assert ran.returncode == 0, ran.stdout
    assert "rules/checkout.yaml ....." in ran.stdout
    assert "warning" not in ran.stdout


def test_a_changed_threshold_fails_with_the_decisions_named_until_it_is_taken_as_right(run: Run, copied: Path) -> None:
    changed(copied / "rules" / "checkout.yaml", "burst: {value: 3,", "burst: {value: 4,")
    ran = run(GOLDEN_TEST)
    assert ran.returncode == 1
    page = (PROJECT / "docs" / "testing-rules.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```text\n(golden/.*?)```$", page, re.DOTALL | re.MULTILINE)
    assert len(shown) == 1
    assert shown[0] in ran.stdout
    assert re.search(r"^t-\d+: action: golden block, now approve$", ran.stdout, re.MULTILINE)
    ran = run(GOLDEN_TEST, "--update-golden")
    assert ran.returncode == 0
    assert "1 golden file written" in ran.stdout
    assert run(GOLDEN_TEST).returncode == 0


def test_a_case_that_does_not_hold_any_more_fails(run: Run, copied: Path) -> None:
    changed(copied / "rules" / "checkout.yaml", "farm: {value: 3,", "farm: {value: 4,")
    ran = run("rules")
    assert ran.returncode == 1
    assert "1 failed, 4 passed" in ran.stdout
    assert "FAILED rules/checkout.yaml::three accounts on one device are a farm" in ran.stdout
    assert "expected block [DEVICE_FARM], came approve []" in ran.stdout


def test_rules_that_would_stop_too_many_fail_the_backtest(run: Run, copied: Path) -> None:
    changed(copied / "rules" / "checkout.yaml", "amount >= $large and age(device_id) < 2h and", "amount >= 100.00 and")
    ran = run("tests/test_backtest.py", "-k", "few_purchases")
    assert ran.returncode == 1
    assert "FAILED tests/test_backtest.py::test_few_purchases_are_stopped" in ran.stdout


def test_the_recording_is_what_the_commands_in_its_readme_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    commands = [
        shlex.split(line) for line in re.findall(r"^stopbank ((?:simulate|recording import) .*)$", readme, re.M)
    ]
    assert [words[0] for words in commands] == ["simulate", "recording"]
    monkeypatch.chdir(tmp_path)
    for words in commands:
        subprocess.run(
            [sys.executable, "-m", "streams.cli", *words], env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=True
        )
    kept, made = (Recording.open(str(place / "recordings" / "winter")) for place in (EXAMPLE, tmp_path))
    assert kept.manifest.topics == made.manifest.topics
    for topic in made.manifest.topics:
        assert list(kept.read(topic, 0)) == list(made.read(topic, 0))


def test_it_is_small() -> None:
    files = [file for file in EXAMPLE.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
