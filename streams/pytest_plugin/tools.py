"""What the fixtures give that work on recordings. Paths are relative to pytest's root directory."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final, get_args

import pytest

from models.decision import Decision
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.language.diagnostics import RulesetError
from streams.backtest.contender import Contender
from streams.backtest.decisions import decisions_of
from streams.backtest.in_force import in_force_last
from streams.backtest.report import BacktestReport, Unlabelled
from streams.backtest.run import DAY_MS, BacktestOptions, run_backtest
from streams.pytest_plugin.reading import UnreadableFileError, read_rules
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.timeline.label_file import LabelFileError
from streams.timeline.labels import LabelTable

AnyPath = str | os.PathLike[str]
# Values for parameters of a rule file, by name.
Params = Mapping[str, int | Decimal | str]

_IN_WORDS: Final = (LabelFileError, RecordingError, RulesetError, UnreadableFileError)


class _Tool:
    def __init__(self, root: Path) -> None:
        self._root = root

    def _compiled(self, rules: AnyPath, params: Params | None = None) -> CompiledRuleset:
        shown = os.fspath(rules)
        values = {name: Decimal(value) if isinstance(value, int) else value for name, value in (params or {}).items()}
        return compile_ruleset(read_rules(self._root / rules, shown), shown, values)


class LoadRecording(_Tool):
    """Opens recordings."""

    def __call__(self, path: AnyPath) -> Recording:
        """Open a recording by its path or URI; what is damaged fails the test, here or where it is read."""
        __tracebackhide__ = True
        place = os.fspath(path)
        if "://" not in place and Path.cwd() != self._root:
            place = str(self._root / place)
        with _fails_in_words():
            return Recording.open(place)


class Decide(_Tool):
    """Decides on the purchases of a recording."""

    def __call__(self, recording: Recording, rules: AnyPath, params: Params | None = None) -> list[Decision]:
        """The decisions under a rule file, in order of event time, by the steps that decide live.

        `params` gives values for some of its parameters in place of those in the file. Labels that were recorded
        count where rules ask for fraud. Purchases that a backtest leaves out have no decision.
        """
        __tracebackhide__ = True
        with _fails_in_words():
            ruleset = self._compiled(rules, params)
            return list(decisions_of(recording, ruleset, LabelTable.read(recording, None)))


class Backtest(_Tool):
    """Runs backtests."""

    def __call__(
        self,
        recording: Recording,
        rules: AnyPath,
        against: AnyPath | None = None,
        *,
        params: Params | None = None,
        labels: AnyPath | None = None,
        maturity_d: float = 60,
        unlabelled_as: Unlabelled = "left-out",
        flips: int = 200,
    ) -> BacktestReport:
        """The report of `stopbank backtest` with the same options; `params` are of the new rules.

        Without `against` the old rules are those that were in force last in the recording, if any were.
        """
        __tracebackhide__ = True
        if unlabelled_as not in get_args(Unlabelled):
            pytest.fail(f"unlabelled_as is one of {', '.join(get_args(Unlabelled))}, not {unlabelled_as!r}", False)
        options = BacktestOptions(round(maturity_d * DAY_MS), unlabelled_as, flips)
        with _fails_in_words():
            new = Contender(self._compiled(rules, params), os.fspath(rules))
            old = self._old(recording, against)
            table = LabelTable.read(recording, self._root / labels if labels is not None else None)
            return run_backtest(recording, new, old, table, options, lambda _: None)

    def _old(self, recording: Recording, against: AnyPath | None) -> Contender | None:
        if against is not None:
            return Contender(self._compiled(against), os.fspath(against))
        in_force = in_force_last(recording)
        return Contender(in_force, None) if in_force is not None else None


@contextmanager
def _fails_in_words() -> Generator[None]:
    """Bad input fails the test with its one error, without a traceback."""
    __tracebackhide__ = True
    try:
        yield
    except _IN_WORDS as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
