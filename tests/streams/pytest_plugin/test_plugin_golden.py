"""Golden files: compared line by line, and written when that is asked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from models.decision import encode_decision
from rules.language.compile import compile_ruleset
from streams.backtest.decisions import decisions_of
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from tests.streams.backtest.story import OLD
from tests.streams.pytest_plugin.conftest import Run

GOLDEN = "golden/story.jsonl.gz"
TEST = f"""
def test_story(load_recording, decide, golden):
    golden.check(decide(load_recording("recordings/story"), "rules/old.yaml"), "{GOLDEN}")
"""


@pytest.fixture
def file(pytester: pytest.Pytester) -> Path:
    """The golden file of a test, which is not there yet."""
    pytester.makepyfile(TEST)
    return pytester.path / GOLDEN


def changed(pytester: pytest.Pytester, old: str, new: str) -> None:
    rules = pytester.path / "rules" / "old.yaml"
    assert old in rules.read_text()
    rules.write_text(rules.read_text().replace(old, new))


def test_it_holds_the_decisions_one_a_line_and_the_test_passes_from_then_on(
    run: Run, file: Path, pytester: pytest.Pytester
) -> None:
    ran = run("--update-golden")
    assert ran.parseoutcomes() == {"passed": 3}
    ran.stdout.fnmatch_lines(["*golden files*", "1 golden file written", GOLDEN])
    recording = Recording.open(str(pytester.path / "recordings" / "story"))
    decisions = decisions_of(recording, compile_ruleset(OLD), LabelTable.read(recording, None))
    assert gzip.decompress(file.read_bytes()) == b"".join(encode_decision(each) + b"\n" for each in decisions)
    ran = run()
    assert ran.parseoutcomes() == {"passed": 3}
    ran.stdout.no_fnmatch_line("*written*")


def test_a_file_that_is_not_there_fails_and_says_how_to_write_it(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    ran = run()
    assert ran.parseoutcomes() == {"passed": 2, "failed": 1}
    assert f"{GOLDEN}: no such golden file: run pytest with --update-golden to write it" in ran.outlines
    assert not file.exists()


def test_a_changed_threshold_is_told_field_by_field_and_mended_by_an_update(
    run: Run, file: Path, pytester: pytest.Pytester
) -> None:
    run("--update-golden")
    before = file.read_bytes()
    changed(pytester, "count(account_id, 1h) > 2", "count(account_id, 1h) > 1")
    ran = run()
    assert ran.parseoutcomes() == {"passed": 2, "failed": 1}
    ran.stdout.fnmatch_lines(
        [
            f"{GOLDEN}: of 8 decisions 2 differ (1 in what is done)",
            "every decision: rules: golden checkout *, now checkout *",
            "t-2: action: golden flag, now block",
            't-2: reasons[[]1[]]: golden absent, now {"rule":"burst",*',
            "t-3: reasons[[]0[]].threshold: golden 2, now 1",
            "run pytest with --update-golden if it is right so",
        ]
    )
    assert file.read_bytes() == before
    assert run("--update-golden").parseoutcomes() == {"passed": 3}
    assert run().parseoutcomes() == {"passed": 3}
    assert file.read_bytes() != before


def test_rules_that_decide_the_same_in_another_version_are_told_as_such(
    run: Run, file: Path, pytester: pytest.Pytester
) -> None:
    run("--update-golden")
    changed(pytester, "currency: CNY", "currency: CNY\ndescription: the same")
    run().stdout.fnmatch_lines([f"{GOLDEN}: 8 decisions, otherwise the same: rules: golden checkout *, now checkout *"])


def test_an_update_without_a_difference_writes_nothing(run: Run, file: Path) -> None:
    run("--update-golden")
    wrote = file.stat().st_mtime_ns
    run("--update-golden").stdout.no_fnmatch_line("*written*")
    assert file.stat().st_mtime_ns == wrote


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no gzip", "the gzip data is damaged (*)"),
        (gzip.compress(b"{}" * 99)[:-9], "the gzip data is damaged (*)"),
        (gzip.compress(b"[]\n"), "line 1 is no decision"),
        (gzip.compress(b'{"transaction_id":"t-1"\n'), "line 1 is no decision"),
    ],
    ids=["no gzip", "cut", "no object", "no JSON"],
)
def test_a_file_that_can_not_be_read_fails_and_is_mended_by_an_update(
    run: Run, file: Path, content: bytes, told: str
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    ran = run()
    ran.stdout.fnmatch_lines([f"{GOLDEN}: {told}: run pytest with --update-golden to write it"])
    ran.stdout.no_fnmatch_line("*Traceback*")
    assert run("--update-golden").parseoutcomes() == {"passed": 3}
    assert run().parseoutcomes() == {"passed": 3}


def test_a_file_of_plain_lines_stands_line_ends_of_other_systems(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST.replace(".gz", ""))
    run("--update-golden")
    file = pytester.path / GOLDEN.removesuffix(".gz")
    assert file.read_bytes().startswith(b'{"transaction_id":"t-1"')
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert run().parseoutcomes() == {"passed": 3}


def test_a_name_that_says_no_format_is_refused(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST.replace(".jsonl.gz", ".txt"))
    ran = run("--update-golden")
    assert ran.parseoutcomes() == {"passed": 2, "failed": 1}
    assert "golden/story.txt: the name of a golden file ends in .jsonl or .jsonl.gz" in ran.outlines
    assert not (pytester.path / "golden").exists()


def test_a_file_that_can_not_be_written_fails_in_words(run: Run, file: Path) -> None:
    file.parent.write_text("no directory")
    ran = run("--update-golden")
    assert ran.parseoutcomes() == {"passed": 2, "failed": 1}
    assert f"{GOLDEN} can't be written: File exists" in ran.outlines
    ran.stdout.no_fnmatch_line("*Traceback*")
