"""A repository of rules and a recording, and pytest on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

# Imported here, so that it is not imported anew by every run inside: Arrow bears that once.
import streams.pytest_plugin as plugin
from streams.pytest_plugin import golden_file, rule_file, tools
from tests.streams.backtest.story import OLD, record_story

Run = Callable[..., pytest.RunResult]
CASES = """
cases:
  - name: a small one passes
    purchases: [{amount: 20.00}]
    expect: {action: approve}
  - name: "a large one: at [first] flagged"
    purchases: [{amount: 70.00}]
    expect: {action: flag, reasons: [LARGE]}
"""
assert all((golden_file, rule_file, tools))


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs pytest with the plugin and no other in a repository with `rules/old.yaml` and `recordings/story`."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\nstopbank_rules = rules/*.yaml")
    rules: Path = pytester.mkdir("rules")
    (rules / "old.yaml").write_text(OLD + CASES, encoding="utf-8")
    record_story(pytester.path / "recordings" / "story", rulesets=())

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest(*arguments, plugins=[plugin])

    return run
