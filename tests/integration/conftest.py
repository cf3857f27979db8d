"""What tests measure is told at the end of the session, whether they passed or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_TOLD = pytest.StashKey[list[str]]()

Tell = Callable[[str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Say a line in the session's summary."""
    told = request.config.stash.setdefault(_TOLD, [])
    name = request.node.name
    return lambda line: told.append(f"{name}: {line}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    told = config.stash.get(_TOLD, list[str]())
    if told:
        terminalreporter.section("measured")
        for line in told:
            terminalreporter.line(line)
