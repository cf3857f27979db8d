"""Every candidate of a sweep against a backtest of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.parameter import ParamValue
from rules.language.compile import compile_ruleset
from rules.plan import RulesetPlan
from streams.backtest import run as backtest_run
from streams.backtest.contender import Contender
from streams.backtest.report import BacktestReport
from streams.backtest.run import DAY_MS, BacktestOptions, run_backtest
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from streams.tune import run, sweep
from streams.tune.options import RuleText, TuneOptions
from streams.tune.report import CandidateReport, TuneReport
from streams.tune.run import run_tune
from tests.streams.tune.story import HOUR_MS, record_stream

COLUMNAR = """
ruleset: tuned
rates: {USD: 7.1}
max_rows: 32
params:
  burst: {value: 3, try: [1, 3.0, 6]}
  reach: {value: 1h, try: [10m, 48h]}
  large: {value: 400.00, try: [300.00]}
  shop: {value: m-1, try: [m-2, m-3]}
rules:
  - {id: burst, when: "count(account_id, $reach) > $burst", then: block}
  - {id: device, when: "distinct(account_id, device_id, $reach) > 2 and merchant_id == $shop", then: flag}
  - {id: large, when: "amount > $large", then: flag}
  - {id: trusted, when: "sum(amount, device_id, this_week) < $large", then: allow}
  - {id: known, when: "count(device_id, 48h, fraud) > $burst", then: block, final: true}
  - {id: trial, when: "amount > $large", then: block, mode: shadow}
"""
BY_ROWS = """
ruleset: tuned
rates: {USD: 7.1}
max_rows: 32
params:
  burst: {value: 2, try: [1, 3]}
  reach: {value: 1h, try: [10m, 48h]}
  odd: {value: 0.6, try: [0.1, 0.9]}
rules:
  - {id: burst, when: "count(account_id, $reach, approved) > $burst", then: block}
  - {id: again, when: "count(device_id, $reach, fraud) > $burst or count(account_id, $reach, declined) > 0", then: flag}
  - {id: odd, when: "anomaly > $odd", then: flag}
  - {id: credit, when: "amount > available_credit", then: block}
"""


@contextmanager
def quiet(what: str, total: int) -> Generator[Callable[[int], None], None, None]:
    """A bar that nobody looks at, and that goes forward to its end and no further."""
    done = [0]

    def note(now: int) -> None:
        assert done[0] <= now <= total, f"{what}: {done[0]}, {now}, {total}"
        done[0] = now

    yield note


def tuned(recording: Recording, text: str, options: TuneOptions) -> TuneReport:
    rules = RuleText(text, "tuned.yaml", "tuned.yaml")
    return run_tune(recording, rules, LabelTable.read(recording), options, quiet)


def backtested(
    recording: Recording, text: str, values: Mapping[str, ParamValue], options: TuneOptions
) -> BacktestReport:
    ruleset = compile_ruleset(text, params=values)
    asked = BacktestOptions(options.maturity_ms, options.unlabelled_as, 0)
    return run_backtest(recording, Contender(ruleset, None), None, LabelTable.read(recording), asked, lambda _: None)


def tried(text: str) -> list[dict[str, ParamValue]]:
    """All candidates by plain loops: any values of which at most two are not the file's."""
    params = compile_ruleset(text).document.params
    choices = [[(name, value) for value in {param.value, *(param.try_ or ())}] for name, param in params.items()]
    found = [{name: value for name, value in chosen if value != params[name].value} for chosen in product(*choices)]
    return [changes for changes in found if len(changes) <= 2]


def as_told(changes: Mapping[str, ParamValue]) -> dict[str, str]:
    return {name: str(value) for name, value in changes.items()}


def of(report: TuneReport, changes: Mapping[str, ParamValue]) -> CandidateReport:
    told = as_told(changes)
    (found,) = [each for each in report.candidates if {one.param: one.value for one in each.changes} == told]
    return found


def assert_same(candidate: CandidateReport, expected: BacktestReport) -> None:
    assert candidate.version == expected.new.version
    figures, labels = candidate.figures, expected.labels
    assert labels is not None
    assert (figures.stopped, figures.only_blocked) == (labels.new.stopped, labels.new.blocked)
    assert (figures.purchases, figures.amount_minor) == (expected.compared, expected.amount_minor)
    actions = expected.new.actions
    assert (figures.flagged, figures.blocked) == (actions.flag.purchases, actions.block.purchases)
    assert (figures.flag_share, figures.block_share) == (actions.flag.share, actions.block.share)
    assert figures.cost_minor == labels.new.stopped.amount_wrongly_stopped_minor


@pytest.mark.parametrize(("text", "path"), [(COLUMNAR, "columnar"), (BY_ROWS, "rows")], ids=["columnar", "rows"])
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    maturity_ms=st.sampled_from([0, 20 * HOUR_MS]),
    unlabelled_as=st.sampled_from(["left-out", "genuine"]),
    block_rows=st.sampled_from([7, 60, 8_192]),
)
def test_every_candidate_does_what_a_backtest_says_of_its_values(
    text: str, path: str, seed: int, maturity_ms: int, unlabelled_as: Any, block_rows: int
) -> None:
    options = TuneOptions(maturity_ms, unlabelled_as, holdout=0)
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK_ROWS", "BLOCK_ROWS_BY_ROW"):
            patch.setattr(run, name, block_rows)
        patch.setattr(backtest_run, "BLOCK_ROWS", block_rows + 3)
        patch.setattr(sweep, "_BY_COLUMNS", 5)
        patch.setattr(sweep, "_BY_ROWS", 4)
        recording = record_stream(Path(directory) / "recording", seed, 160)
        report = tuned(recording, text, options)
        assert report.path == path
        candidates = tried(text)
        assert len(report.candidates) == len(candidates)
        for changes in candidates:
            assert_same(of(report, changes), backtested(recording, text, changes, options))


def test_curves_and_grids_point_to_their_candidates(tmp_path: Path) -> None:
    recording = record_stream(tmp_path / "recording", 1, 60)
    report = tuned(recording, COLUMNAR, TuneOptions(maturity_ms=0))
    assert [(curve.param, [point.value for point in curve.points]) for curve in report.curves] == [
        ("burst", ["1", "3", "6"]),
        ("reach", ["10m", "1h", "48h"]),
        ("large", ["300.00", "400.00"]),
        ("shop", ["m-1", "m-2", "m-3"]),
    ]
    present = {curve.param: curve.present for curve in report.curves}
    for curve in report.curves:
        for point in curve.points:
            expected = {curve.param: point.value} if point.value != curve.present else {}
            assert {one.param: one.value for one in report.candidates[point.candidate].changes} == expected
    assert len(report.grids) == 6
    for grid in report.grids:
        for first, row in zip(grid.first_values, grid.candidates, strict=True):
            for second, number in zip(grid.second_values, row, strict=True):
                values = {grid.first: first, grid.second: second}
                changed = {name: value for name, value in values.items() if value != present[name]}
                assert {one.param: one.value for one in report.candidates[number].changes} == changed


@pytest.mark.parametrize("text", [COLUMNAR, BY_ROWS], ids=["columnar", "rows"])
@pytest.mark.parametrize("holdout", [0.1, 0.25, 0.5])
def test_the_last_of_the_labelled_purchases_are_held_out(tmp_path: Path, text: str, holdout: float) -> None:
    recording = record_stream(tmp_path / "recording", 2, 200)
    whole = tuned(recording, text, TuneOptions(maturity_ms=0, holdout=0))
    parted = tuned(recording, text, TuneOptions(maturity_ms=0, holdout=holdout))
    assert whole.holdout is None
    assert parted.holdout is not None
    assert parted.holdout.share == holdout
    for all_figures, candidate in zip(whole.candidates, parted.candidates, strict=True):
        assert all_figures.held_out is None
        assert candidate.held_out is not None
        first, last, both = candidate.figures, candidate.held_out, all_figures.figures
        for name in ("purchases", "amount_minor", "flagged", "blocked", "cost_minor"):
            assert getattr(first, name) + getattr(last, name) == getattr(both, name)
        for name in ("tp", "fp", "fn", "tn", "amount_saved_minor"):
            assert getattr(first.stopped, name) + getattr(last.stopped, name) == getattr(both.stopped, name)
    held = parted.candidates[0].held_out
    assert held is not None
    counted = sum(getattr(whole.candidates[0].figures.stopped, name) for name in ("tp", "fp", "fn", "tn"))
    out = sum(getattr(held.stopped, name) for name in ("tp", "fp", "fn", "tn"))
    # A few purchases lie in the minute where the parts meet.
    assert counted * holdout - 6 <= out <= counted * holdout
    assert parted.holdout.fraud == held.stopped.tp + held.stopped.fn


def test_what_is_held_out_is_later_than_what_is_chosen_by(tmp_path: Path) -> None:
    """The first part is what a backtest of the recording up to there counts."""
    recording = record_stream(tmp_path / "recording", 3, 120)
    parted = tuned(recording, COLUMNAR, TuneOptions(maturity_ms=0))
    assert parted.holdout is not None
    maturity_ms = parted.labels.mature_until_ms - parted.holdout.split_ms + 1
    first_alone = tuned(recording, COLUMNAR, TuneOptions(maturity_ms=maturity_ms, holdout=0))
    for one, other in zip(parted.candidates, first_alone.candidates, strict=True):
        assert (one.figures.stopped, one.figures.only_blocked) == (other.figures.stopped, other.figures.only_blocked)


def asked_for(plan: RulesetPlan) -> str:
    return "asked for"


def test_the_same_whichever_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = record_stream(tmp_path / "recording", 4, 150)
    by_columns = tuned(recording, COLUMNAR, TuneOptions(DAY_MS))
    for module in (run, sweep):
        monkeypatch.setattr(module, "columnar_obstacle", asked_for)
    by_rows = tuned(recording, COLUMNAR, TuneOptions(DAY_MS))
    assert (by_columns.path, by_rows.path, by_rows.rows_because) == ("columnar", "rows", "asked for")
    assert by_columns.candidates == by_rows.candidates
    assert by_columns.front == by_rows.front
