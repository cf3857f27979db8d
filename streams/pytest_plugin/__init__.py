"""A pytest plugin for repositories of rules and recordings: cases as tests, decisions, golden files and backtests.

pytest imports it in every run where Stopbank is installed: what it works with is imported when it is asked for.
"""

# pytest is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest

if TYPE_CHECKING:
    from streams.pytest_plugin.golden_file import Golden
    from streams.pytest_plugin.tools import Backtest, Decide, LoadRecording

_RULES: Final = "stopbank_rules"
_UPDATE: Final = "--update-golden"
# Under this name a test's report tells which golden files it wrote: so it comes from other processes, too.
_WRITTEN: Final = "golden_written"

_rule_files = pytest.StashKey[frozenset[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting."""
    group = parser.getgroup("stopbank")
    group.addoption(_UPDATE, action="store_true", help="write golden files anew, with the decisions of now")
    parser.addini(_RULES, "rule files whose cases are tests, like rules/*.yaml", type="linelist", default=[])


def pytest_sessionstart(session: pytest.Session) -> None:
    """Find the rule files. A pattern that finds none is refused: it would test nothing, and pass."""
    found = set[Path]()
    for pattern in cast("list[str]", session.config.getini(_RULES)):
        found.update(_files(session.config.rootpath, pattern))
    session.config.stash[_rule_files] = frozenset(found)


def _files(root: Path, pattern: str) -> list[Path]:
    """The files that a pattern names; at least one. Raises UsageError."""
    try:
        files = [file.resolve() for file in root.glob(pattern) if file.is_file()]
    except (NotImplementedError, ValueError):
        raise pytest.UsageError(f"{_RULES}: {pattern} is no pattern below {root}: write it like rules/*.yaml") from None
    if not files:
        raise pytest.UsageError(f"{_RULES}: {pattern} names no file below {root}: mend the pattern, or leave it out")
    return files


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the rule files that the setting names."""
    if file_path.resolve() not in parent.config.stash.get(_rule_files, frozenset[Path]()):
        return None
    from streams.pytest_plugin.rule_file import RuleFileTests

    return RuleFileTests.from_parent(parent, path=file_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which golden files were written."""
    written = {
        str(value)
        for reports in cast("dict[str, list[object]]", terminalreporter.stats).values()
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, value in report.user_properties
        if name == _WRITTEN
    }
    if written:
        terminalreporter.section("golden files")
        terminalreporter.line("1 golden file written" if len(written) == 1 else f"{len(written)} golden files written")
        for file in sorted(written):
            terminalreporter.line(file)


@pytest.fixture(scope="session")
def load_recording(pytestconfig: pytest.Config) -> LoadRecording:
    """Opens a recording: `load_recording("recordings/winter")`."""
    from streams.pytest_plugin.tools import LoadRecording

    return LoadRecording(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def decide(pytestconfig: pytest.Config) -> Decide:
    """Decides on a recording's purchases: `decide(recording, "rules/checkout.yaml", {"burst": 4})`."""
    from streams.pytest_plugin.tools import Decide

    return Decide(pytestconfig.rootpath)


@pytest.fixture(scope="session")
def backtest(pytestconfig: pytest.Config) -> Backtest:
    """Runs a backtest: `backtest(recording, "rules/checkout.yaml").new.actions.block.share`."""
    from streams.pytest_plugin.tools import Backtest

    return Backtest(pytestconfig.rootpath)


@pytest.fixture
def golden(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Golden:
    """Compares decisions with a golden file: `golden.check(decisions, "golden/winter.jsonl.gz")`."""
    from streams.pytest_plugin.golden_file import Golden

    properties = cast("list[tuple[str, object]]", request.node.user_properties)
    return Golden(
        pytestconfig.rootpath,
        update=bool(pytestconfig.getoption(_UPDATE)),
        note=lambda file: properties.append((_WRITTEN, file)),
    )
