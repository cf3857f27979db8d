"""The command in this process, as its script runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from streams.cli import main


class Ran(NamedTuple):
    """How a command ended: its exit code and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def runner(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *name: str) -> Run:
    """What runs `stopbank`, or the subcommand with this name, with the arguments that it is given."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["stopbank", *name, *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    return run


def assert_one_error(ran: Ran, *told: str) -> None:
    """The command was not done, and said one thing about it, with these parts."""
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("stopbank: ")
    assert "Traceback" not in ran.err
    for part in told:
        assert part in ran.err
