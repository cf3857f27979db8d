"""How fast a recording is backtested and swept, by rows and by columns, and how well rules rank its fraud.

`make bench-backtest ARGS="--quick --json"`. The recording is the Fraud Detection Handbook's set, found as
`bench.datasets` says, and made anew. Each measurement is a process of its own that reads the recording from disk,
evaluates twelve rules over account and terminal on every purchase, and counts; they take turns, because machines
are noisy, and the ratios of their medians are what counts. `--quick` takes one turn, and by rows the first
purchases only.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import orjson

from bench.datasets import HANDBOOK_FILE, CardPayment, data_directory, is_available, read_handbook
from bench.handbook import Quality
from bench.handbook_recording import record_handbook
from bench.handbook_rules import DETECTION_RULES, VELOCITY_RULES, judge_rules, judge_rules_on_all_weeks
from rules.columns.evaluate import ColumnarRuleset
from rules.language.compile import CompiledRuleset, compile_ruleset
from streams.backtest.choose_path import WantedPath
from streams.backtest.contender import Contender
from streams.backtest.run import BacktestOptions, run_backtest
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from streams.timeline.timeline import Timeline
from streams.tune.options import RuleText, TuneOptions
from streams.tune.run import run_tune

ROOT: Final = Path(__file__).resolve().parents[1]
TURNS: Final = 3
QUICK_ROWS: Final = 60_000
SWEPT: Final = 50
_KIB: Final = 1024


class Measured(NamedTuple):
    """One process's figures."""

    purchases: int
    elapsed_s: float
    rss_mb: float

    @property
    def per_s(self) -> float:
        """Purchases a second."""
        return self.purchases / self.elapsed_s


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and with --json the figures as one object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one turn, rows over the first purchases only")
    parser.add_argument("--json", action="store_true", help="end with the figures as one JSON object")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "RECORDING"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        what, recording = options.measure
        _print_measured(_MEASUREMENTS[what], recording)
    elif is_available(HANDBOOK_FILE):
        _bench(quick=options.quick, as_json=options.json)
    else:
        print(f"skipped: {HANDBOOK_FILE} is not in {data_directory()}; STOPBANK_DATA names another directory")


def _bench(*, quick: bool, as_json: bool) -> None:
    payments = read_handbook()
    with tempfile.TemporaryDirectory() as directory:
        whole, by_rows = f"{directory}/whole", f"{directory}/whole"
        record_handbook(payments, whole)
        if quick:
            by_rows = f"{directory}/first"
            record_handbook(payments[:QUICK_ROWS], by_rows)
        turns = [
            {"rows": _child("rows", by_rows), "columns": _child("columns", whole), "sweep": _child("sweep", whole)}
            for _ in range(1 if quick else TURNS)
        ]
        matching = _matching(whole, len(payments))
    figures = _speed(turns, len(payments)) | _detection(payments, matching)
    if as_json:
        print(orjson.dumps(figures).decode())


def _speed(turns: Sequence[dict[str, Measured]], purchases: int) -> dict[str, object]:
    rows_per_s = statistics.median(turn["rows"].per_s for turn in turns)
    columnar_per_s = statistics.median(turn["columns"].per_s for turn in turns)
    over_row = statistics.median(turn["columns"].per_s / turn["rows"].per_s for turn in turns)
    over_pass = statistics.median(turn["sweep"].elapsed_s / turn["columns"].elapsed_s for turn in turns)
    rss_mb = {name: max(turn[name].rss_mb for turn in turns) for name in turns[0]}
    print(f"Handbook set, {purchases:,} purchases, 12 rules over account and terminal, {len(turns)} turn(s), medians")
    print(f"{'':34}purchases/s   us each   peak MB")
    for name, per_s in (("row by row", rows_per_s), ("columnar", columnar_per_s)):
        peak_mb = rss_mb["rows" if name == "row by row" else "columns"]
        print(f"{name:34}{per_s:11,.0f}   {1e6 / per_s:7.2f}   {peak_mb:7.0f}")
    print(f"columnar over row: {over_row:.1f} times")
    print(f"50 thresholds: {over_pass:.2f} times one columnar pass; peak {rss_mb['sweep']:.0f} MB")
    return {
        "row_purchases_per_s": round(rows_per_s),
        "columnar_purchases_per_s": round(columnar_per_s),
        "columnar_over_row": round(over_row, 2),
        "sweep_over_pass": round(over_pass, 2),
        "rss_mb": round(rss_mb["columns"]),
        "row_rss_mb": round(rss_mb["rows"]),
        "sweep_rss_mb": round(rss_mb["sweep"]),
    }


def _detection(payments: Sequence[CardPayment], matching: Sequence[int]) -> dict[str, object]:
    last, mean = judge_rules(payments, matching), judge_rules_on_all_weeks(payments, matching)
    print(f"Detection by {DETECTION_RULES.name}, ranked by how many rules match; labels known after 7 days")
    print(f"{'':34}AUC ROC   AP      CP@100  CP@100 without cards detected before")
    for name, quality in (("test week 8 to 14 August", last), ("mean of four test weeks", mean)):
        print(f"{name:34}" + "   ".join(f"{value:.4f}".lstrip("0") + "  " for value in quality))
    return {"handbook_rules": _rounded(last), "handbook_rules_four_weeks": _rounded(mean)}


def _rounded(quality: Quality) -> dict[str, float]:
    return {name: round(value, 4) for name, value in quality._asdict().items()}


def _matching(recording: str, payments: int) -> list[int]:
    """For each payment how many rules of the detection file match, shadow rules too."""
    opened = Recording.open(recording)
    ruleset = ColumnarRuleset(compile_ruleset(DETECTION_RULES.read_text(), str(DETECTION_RULES)))
    matching = np.zeros(payments, np.int64)
    for block in Timeline(opened, LabelTable.read(opened)).blocks():
        transactions = block.columns.texts["transaction_id"]
        numbers = np.array([int(text.removeprefix("t-")) for text in transactions.texts])[transactions.codes]
        matching[numbers] = ruleset.take(block.columns).hits.sum(axis=0)
    return matching.tolist()


def _child(what: str, recording: str) -> Measured:
    arguments = [sys.executable, "-m", "bench.backtest", "--measure", what, recording]
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=False)
    if ended.returncode:
        raise SystemExit(f"measuring {what} ended with {ended.returncode}:\n{ended.stderr.decode()[-3_000:]}")
    return Measured(*orjson.loads(ended.stdout))


def _print_measured(measurement: Callable[[str], int], recording: str) -> None:
    begun_s = time.perf_counter()
    purchases = measurement(recording)
    elapsed_s = time.perf_counter() - begun_s
    print(orjson.dumps([purchases, elapsed_s, _peak_mb()]).decode())


def _peak_mb() -> float:
    """Peak resident memory of this process; getrusage would tell the parent's where that is larger."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / _KIB
    return 0.0


def _velocity_rules() -> CompiledRuleset:
    return compile_ruleset(VELOCITY_RULES.read_text(), str(VELOCITY_RULES))


def _backtest(recording: str, path: WantedPath) -> int:
    contender = Contender(_velocity_rules(), str(VELOCITY_RULES))
    opened, options = Recording.open(recording), BacktestOptions(path=path)
    return run_backtest(opened, contender, None, LabelTable.read(opened), options, lambda _: None).compared


def _by_rows(recording: str) -> int:
    return _backtest(recording, "rows")


def _by_columns(recording: str) -> int:
    return _backtest(recording, "columnar")


def _sweep(recording: str) -> int:
    """Every value that is to be tried, each counted by action and label."""
    opened, file = Recording.open(recording), str(VELOCITY_RULES)
    rules = RuleText(VELOCITY_RULES.read_text(), file, file)
    report = run_tune(opened, rules, LabelTable.read(opened), TuneOptions(maturity_ms=0), _unseen)
    assert len(report.candidates) == SWEPT, "the rule file has as many values to try"
    return report.recording.purchases


@contextmanager
def _unseen(_what: str, _purchases: int) -> Generator[Callable[[int], None]]:
    yield lambda _: None


_MEASUREMENTS: Final = {"rows": _by_rows, "columns": _by_columns, "sweep": _sweep}


if __name__ == "__main__":
    main()
