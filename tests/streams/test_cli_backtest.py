"""`stopbank backtest`: a summary for people, JSON for programs, and one clear error for what goes wrong."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from models.purchase import InvalidPurchase
from rules.fold import Record
from streams.backtest.report import BacktestReport
from streams.cli import backtest
from streams.recording.importing import import_lines
from streams.recording.reader import Recording
from streams.recording.writer import RecordingWriter
from streams.settings import read_settings
from streams.timeline.labels import LabelTable
from tests.streams.backtest.story import NEW, OLD, record_story
from tests.streams.command import Run, assert_one_error, runner


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command beside a recording, `story`, and two rule files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("new.yaml").write_text(NEW)
    Path("old.yaml").write_text(OLD)
    record_story(tmp_path / "story")

    return runner(monkeypatch, capfd, "backtest")


def test_the_summary_fits_a_terminal_of_80_columns(run: Run) -> None:
    ran = run("story", "--rules", "new.yaml")
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    told = " ".join(ran.out.split())
    for part in (
        "in force last in the recording", "8 purchases compared", "repeats 1, conflicts 1, malformed 1",
        "5 are decided otherwise", "block → flag", "3 purchases in 1 h, limit 2", "440.00", "50.00%", "60 days",
    ):  # fmt: skip
        assert part in told, part


def test_the_json_is_the_report_and_nothing_else(run: Run) -> None:
    ran = run("story", "--rules", "new.yaml", "--against", "old.yaml", "--json")
    assert (ran.code, ran.err) == (0, "")
    report = BacktestReport.model_validate_json(ran.out)
    assert report.model_dump(mode="json") == json.loads(ran.out)
    assert report.old is not None
    assert (report.new.file, report.old.file) == ("new.yaml", "old.yaml")
    assert (report.new.path, report.old.path) == ("columnar", "columnar")


def test_the_page_is_written_beside_the_summary(run: Run) -> None:
    ran = run("story", "--rules", "new.yaml", "--html", "page.html")
    assert (ran.code, ran.err) == (0, "")
    assert "8 purchases compared" in ran.out
    page = Path("page.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "</html>" in page
    assert "t-7" in page


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("none/page.html", "none is no directory"),
        (".", "is a directory"),
        ("./new.yaml", "new.yaml is read, and would be replaced"),
    ],
)
def test_a_page_that_can_not_be_written_is_refused_before_the_work(run: Run, file: str, told: str) -> None:
    ran = run("story", "--rules", "new.yaml", "--html", file)
    assert (ran.code, ran.out) == (2, "")
    assert told in " ".join(ran.err.split())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that nobody can write into")
def test_a_place_that_nothing_can_be_written_to_is_refused_before_the_work(run: Run) -> None:
    ran = run("story", "--rules", "new.yaml", "--html", "/proc/page.html")
    assert (ran.code, ran.out) == (2, "")
    told = " ".join(ran.err.replace("│", " ").split())
    assert "Invalid value for --html: /proc/page.html: " in told


def test_what_ctrl_c_breaks_is_no_error_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The validation of a record that had been found right takes the interrupt for a fault of it."""

    def interrupted(recording: Recording, file: Path | None = None) -> LabelTable:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise InvalidPurchase("purchase: ip: '10.0.3.7' is not an IPv4 or IPv6 address")

    monkeypatch.setattr(LabelTable, "read", interrupted)
    ran = run("story", "--rules", "new.yaml", "--html", "page.html")
    assert (ran.code, ran.out) == (130, "")
    assert not Path("page.html").exists()


def test_its_options_reach_the_report(run: Run) -> None:
    ran = run("story", "--rules", "new.yaml", "--json", "--maturity", "0d", "--unlabelled", "genuine", "--flips", "1")
    report = BacktestReport.model_validate_json(ran.out)
    assert report.labels is not None
    assert (report.labels.maturity_d, report.labels.unlabelled_as) == (0.0, "genuine")
    assert report.flips is not None
    assert len(report.flips.examples) == 1


def test_a_recording_without_rulesets_is_told_of_the_new_rules_alone(run: Run, tmp_path: Path) -> None:
    record_story(tmp_path / "bare", rulesets=(), labels=False)
    ran = run("bare", "--rules", "new.yaml")
    assert ran.code == 0
    told = " ".join(ran.out.split())
    assert "nothing to compare with" in told
    assert "has no labels" in told
    assert "new share new CNY of amount" in told
    assert "old share" not in told


def test_a_recording_without_purchases_is_said_to_be_one(run: Run, tmp_path: Path) -> None:
    limit = {"account_id": "a-1", "credit_limit": 1_000, "currency": "CNY", "event_time": 1772443800000}
    (tmp_path / "limits.jsonl").write_text(json.dumps(limit))
    import_lines([tmp_path / "limits.jsonl"], str(tmp_path / "limits"), read_settings({}), 1, lambda _: None)
    ran = run("limits", "--rules", "new.yaml")
    assert ran.code == 0
    assert "has no purchase that could be decided on" in " ".join(ran.out.split())


def test_the_last_of_the_recorded_rulesets_is_the_old_one(run: Run, tmp_path: Path) -> None:
    record_story(tmp_path / "twice", rulesets=(OLD, NEW))
    report = BacktestReport.model_validate_json(run("twice", "--rules", "new.yaml", "--json").out)
    assert report.flips is not None
    assert report.flips.purchases == 0


def test_labels_from_a_file_count_too(run: Run) -> None:
    Path("labels.csv").write_text("transaction_id,verdict,known_at\nt-3,fraud,2026-03-05T00:00:00Z\n")
    report = BacktestReport.model_validate_json(
        run("story", "--rules", "new.yaml", "--json", "--labels", "labels.csv").out
    )
    assert report.labels is not None
    assert (report.labels.fraud, report.labels.unlabelled) == (4, 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "--rules", "new.yaml"], ["nowhere/manifest.json: no such file"]),
        (["story", "--rules", "none.yaml"], ["none.yaml can't be read"]),
        (["story", "--rules", "broken.yaml"], ["broken.yaml:3:", "amuont"]),
        (["story", "--rules", "new.yaml", "--against", "broken.yaml"], ["broken.yaml:3:"]),
        (["story", "--rules", "usd.yaml"], ["no purchase can be compared", "in USD", "add `rates`"]),
        (["story", "--rules", "new.yaml", "--labels", "none.csv"], ["none.csv"]),
        (["story", "--rules", "new.yaml", "--labels", "labels.csv"], ["labels.csv:2: t-77", "1 more", "recording"]),
        (["damaged", "--rules", "new.yaml"], ["damaged/purchases"]),
    ],
    ids=["no-recording", "no-rules", "broken-rules", "broken-old-rules", "no-rate", "no-labels", "unknown", "damaged"],
)
def test_what_can_not_be_used_is_told_in_one_error(
    run: Run, tmp_path: Path, arguments: list[str], told: list[str]
) -> None:
    Path("broken.yaml").write_text("ruleset: checkout\nrules:\n  - {id: r, when: amuont > 1, then: block}\n")
    Path("usd.yaml").write_text(NEW.replace("CNY", "USD"))
    Path("labels.csv").write_text(
        "transaction_id,verdict,known_at\nt-77,fraud,2026-03-05T00:00:00Z\nt-78,fraud,2026-03-05T00:00:00Z\n"
    )
    record_story(tmp_path / "damaged")
    for file in (tmp_path / "damaged").rglob("*.parquet"):
        if "purchases" in str(file):
            raw = bytearray(file.read_bytes())
            raw[len(raw) // 2] ^= 1
            file.write_bytes(raw)
    assert_one_error(run(*arguments), *told)


@pytest.mark.parametrize("maturity", ["60", "two months", "-1d"])
def test_a_maturity_that_is_no_duration_is_refused(run: Run, maturity: str) -> None:
    ran = run("story", "--rules", "new.yaml", f"--maturity={maturity}")
    assert ran.code == 2
    assert "is no duration like 60d" in ran.err


def test_an_old_ruleset_that_does_not_compile_is_named(run: Run, tmp_path: Path) -> None:
    record_story(tmp_path / "later")
    writer = RecordingWriter.resume(str(tmp_path / "later"))
    pointer = {"version": "f00d", "history": [{"version": "f00d", "at_ms": 1, "by": "team"}]}
    for key, value in (("checkout@f00d", {"source": "ruleset: checkout\nfrom: later"}), ("checkout", pointer)):
        offset = writer.position("rulesets", 0)
        writer.append("rulesets", Record(offset, 1, key.encode(), json.dumps(value).encode(), (), 0))
    writer.commit()
    ran = run("later", "--rules", "new.yaml")
    assert_one_error(ran, "later: ", "checkout@f00d", "`rules` is missing", "--against")
    assert run("later", "--rules", "new.yaml", "--against", "old.yaml").code == 0


def test_ctrl_c_ends_it_in_order(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def interrupted(what: str, total: int, verify: Callable[[], None]) -> Generator[Callable[[int], None], None, None]:
        def note(done: int) -> None:
            raise KeyboardInterrupt

        yield note

    monkeypatch.setattr(backtest, "progress_bar", interrupted)
    before = sorted(Path().iterdir())
    ran = run("story", "--rules", "new.yaml", "--html", "page.html")
    assert (ran.code, ran.out) == (130, "")
    assert "Traceback" not in ran.err
    assert sorted(Path().iterdir()) == before
