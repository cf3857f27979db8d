"""`stopbank tune`: a summary for people, JSON for programs, a patch, a page, and one clear error for what is wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rules.language.compile import compile_ruleset
from streams.cli import tune
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from streams.tune import page
from streams.tune.report import TuneReport
from tests.streams.command import Ran, Run, assert_one_error, runner
from tests.streams.timeline.recordings import Sent, record
from tests.streams.tune.story import RULES, record_stream

# All that the recording has, a few hours, is old enough.
ALL = ("stream", "--rules", "rules.yaml", "--maturity", "0d")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command beside a recording, `stream`, and a rule file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("rules.yaml").write_text(RULES + "rates: {USD: 7.1}\n")
    record_stream(tmp_path / "stream", 7, 120)

    return runner(monkeypatch, capfd, "tune")


def report_of(ran: Ran) -> TuneReport:
    report = TuneReport.model_validate_json(ran.out)
    assert report.model_dump(mode="json") == json.loads(ran.out)
    return report


def test_the_summary_fits_a_terminal_of_80_columns(run: Run) -> None:
    ran = run(*ALL, "--max-flag-rate", "0.9")
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    told = " ".join(ran.out.split())
    for part in (
        "rules.yaml", "columnar", "120 purchases, 15 candidates", "held out", "$burst", "5 now", "$large",
        "No other is better", "Best within the budget (flagged at most 90%)", "--- a/rules.yaml", "+++ b/rules.yaml",
    ):  # fmt: skip
        assert part in told, part


def test_the_json_is_the_report_and_nothing_else(run: Run) -> None:
    ran = run(*ALL, "--json")
    assert (ran.code, ran.err) == (0, "")
    report = report_of(ran)
    assert (report.file, report.path, len(report.candidates)) == ("rules.yaml", "columnar", 15)
    assert (report.budget, report.best, report.nearest, report.patch) == (None, None, None, None)
    assert "Without a budget there is no best candidate" in report.notes[0]


def test_its_options_reach_the_report(run: Run) -> None:
    ran = run(
        *ALL[:3], "--maturity", "1h", "--unlabelled", "genuine", "--holdout", "0.5", "--json",
        "--max-flag-rate", "0.5", "--max-block-rate", "0.25", "--max-cost", "10_000.50",
    )  # fmt: skip
    report = report_of(ran)
    assert (report.labels.maturity_d, report.labels.unlabelled_as) == (1 / 24, "genuine")
    assert report.holdout is not None
    assert report.holdout.share == 0.5
    assert report.budget is not None
    assert report.budget.model_dump() == {"max_flag_share": 0.5, "max_block_share": 0.25, "max_cost_minor": 1_000_050}


def test_the_patch_that_is_written_makes_the_file_the_best(run: Run) -> None:
    report = report_of(run(*ALL, "--json", "--max-block-rate", "0.9", "--patch", "best.patch"))
    assert report.best is not None
    assert report.candidates[report.best].changes
    assert Path("best.patch").read_text() == report.patch
    if shutil.which("git"):
        subprocess.run(["git", "apply", "best.patch"], check=True)
        patched = compile_ruleset(Path("rules.yaml").read_text())
        assert patched.version == report.candidates[report.best].version


def test_a_file_that_is_the_best_already_gets_no_patch(run: Run) -> None:
    Path("rules.yaml").write_text(
        "ruleset: checkout\nparams: {large: {value: 300.00, try: [500.00, 900.00]}}\n"
        "rules: [{id: large, when: amount > $large, then: flag}]\n"
    )
    ran = run(*ALL, "--max-block-rate", "1", "--patch", "best.patch")
    assert ran.code == 0
    assert "The file as it is has the best values" in ran.out
    assert not Path("best.patch").exists()


def test_a_budget_that_nothing_meets_is_told_with_what_comes_nearest(run: Run) -> None:
    ran = run(*ALL, "--max-cost", "0", "--patch", "best.patch")
    assert ran.code == 1
    told = " ".join(ran.out.split())
    assert "Nothing is within the budget (cost at most 0.00 CNY). Nearest: " in told
    assert not Path("best.patch").exists()
    report = report_of(run(*ALL, "--max-cost", "0", "--json"))
    assert report.best is None
    assert report.nearest is not None
    least = min(each.figures.cost_minor for each in report.candidates)
    assert report.candidates[report.nearest].figures.cost_minor == least


def test_the_page_holds_the_report(run: Run) -> None:
    ran = run(*ALL, "--json", "--max-block-rate", "0.9", "--html", "tuned.html")
    assert Path("tuned.html").read_text() == page.render_page(report_of(ran))


def test_labels_from_a_file_count_too(run: Run, tmp_path: Path) -> None:
    record_stream(tmp_path / "bare", 7, 120, labelled=0)
    lines = [f"t-{number},{'fraud' if number % 3 else 'genuine'},2026-03-09T00:00:00Z" for number in range(90)]
    Path("labels.csv").write_text("\n".join(["transaction_id,verdict,known_at", *lines]))
    report = report_of(run("bare", *ALL[1:], "--labels", "labels.csv", "--json"))
    assert report.labels.fraud + report.labels.genuine > 60


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", *ALL[1:]], ["nowhere/manifest.json: no such file"]),
        (["stream", "--rules", "none.yaml"], ["none.yaml can't be read"]),
        (["stream", "--rules", "broken.yaml"], ["broken.yaml:11:", "amuont"]),
        (["stream", "--rules", "fixed.yaml"], ["fixed.yaml: no parameter has other values to `try`", "params:"]),
        ([*ALL, "--max-candidates", "14"], ["rules.yaml: 15 candidates", "more than 14", "shorten `try`"]),
        (["bare", *ALL[1:]], ["bare has no labels", "--labels"]),
        (["stream", "--rules", "rules.yaml"], ["labelled purchases are of the last 60 days", "--maturity"]),
        (["stream", "--rules", "jpy.yaml", "--maturity", "0d"], ["no purchase can be judged", "in JPY", "add `rates`"]),
        (["only-fraud", *ALL[1:]], ["labels tell of fraud alone", "--unlabelled genuine"]),
        (["no-fraud", *ALL[1:]], ["no label says that a purchase was fraud"]),
        (["late-fraud", *ALL[1:]], ["no fraud before 2026-03-02 14:06", "--holdout"]),
        ([*ALL, "--labels", "labels.csv"], ["labels.csv:2: t-777"]),
        ([*ALL, "--max-cost", "1.005"], ["1.005 CNY: CNY has 2 decimals"]),
    ],
    ids=[
        "no-recording", "no-rules", "broken-rules", "nothing-to-try", "too-many", "no-labels", "too-young", "no-rate",
        "only-fraud", "no-fraud", "late-fraud", "unknown-label", "cost",
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_told_in_one_error(
    run: Run, tmp_path: Path, arguments: list[str], told: list[str]
) -> None:
    Path("broken.yaml").write_text(RULES.replace("amount", "amuont"))
    Path("fixed.yaml").write_text("ruleset: checkout\nrules:\n  - {id: r, when: amount > 1.00, then: block}\n")
    in_yen = RULES.replace("ruleset: checkout", "ruleset: checkout\ncurrency: JPY").replace(".00", "")
    Path("jpy.yaml").write_text(in_yen)
    Path("labels.csv").write_text("transaction_id,verdict,known_at\nt-777,fraud,2026-03-05T00:00:00Z\n")
    record_stream(tmp_path / "bare", 7, 20, labelled=0)
    verdicts = {"only-fraud": ["fraud"], "no-fraud": ["genuine"], "late-fraud": [*["genuine"] * 7, "fraud"]}
    for name, labels in verdicts.items():
        record_labelled(tmp_path / name, labels)
    assert_one_error(run(*arguments), *told)


def record_labelled(directory: Path, verdicts: list[str]) -> None:
    """Purchases by the minute, with these labels."""
    start_ms, sent = 1_772_431_200_000, list[Sent]()
    for number, verdict in enumerate(verdicts):
        at_ms = start_ms + number * 60_000
        known = {"transaction_id": f"t-{number}", "account_id": "a-1", "event_time": at_ms}
        bought = known | {"amount": 100, "currency": "CNY", "merchant_id": "m-1", "mcc": "5411"}
        sent.append(Sent("purchases", 0, at_ms, json.dumps(bought).encode()))
        sent.append(Sent("labels", 0, at_ms, json.dumps(known | {"verdict": verdict}).encode()))
    record(directory, sent, {"purchases": 1, "labels": 1})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--maturity", "60"], "is no duration like 60d"),
        (["--max-flag-rate", "2"], "less than or equal to 1"),
        (["--max-flag-rate", "nan"], "less than or equal to 1"),
        (["--max-cost", "much"], "is no amount like 10_000.00"),
        (["--holdout", "1"], "less than or equal to 0.9"),
        (["--max-cost", "1", "--patch", "stream"], "stream is a directory"),
        (["--html", "none/tuned.html"], "none is no directory"),
        (["--patch", "best.patch"], "without a budget there is no best candidate"),
    ],
)
def test_options_that_make_no_sense_are_refused(run: Run, arguments: list[str], told: str) -> None:
    ran = run("stream", "--rules", "rules.yaml", *arguments)
    assert ran.code == 2
    assert told in " ".join(ran.err.replace("│", " ").split())


def test_ctrl_c_ends_it_also_where_it_is_taken_for_the_fault_of_a_record(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validation of records takes every error within it for one of theirs."""
    read = LabelTable.read

    def interrupted(recording: Recording, file: Path | None = None) -> LabelTable:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return read(recording, file)

    monkeypatch.setattr(LabelTable, "read", interrupted)
    before = signal.getsignal(signal.SIGINT)
    ran = run(*ALL, "--json", "--html", "tuned.html")
    assert (ran.code, ran.out) == (130, "")
    assert not Path("tuned.html").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_it_in_order_and_leaves_no_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def interrupted(what: str, total: int, verify: Callable[[], None]) -> Generator[Callable[[int], None], None, None]:
        def note(done: int) -> None:
            if what == "judging":
                raise KeyboardInterrupt

        yield note

    monkeypatch.setattr(tune, "progress_bar", interrupted)
    before = set(Path().iterdir())
    ran = run(*ALL, "--json", "--max-cost", "1", "--patch", "best.patch", "--html", "tuned.html")
    assert (ran.code, ran.out) == (130, "")
    assert "Traceback" not in ran.err
    assert set(Path().iterdir()) == before
