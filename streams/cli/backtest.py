"""`stopbank backtest`."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.language.parser import duration_ms
from streams.backtest.in_force import in_force_last
from streams.backtest.labels import LabelTable
from streams.backtest.page import render_page
from streams.backtest.party import Contender
from streams.backtest.report import BacktestReport
from streams.backtest.run import BacktestOptions, run_backtest
from streams.backtest.terminal import summary
from streams.cli.progress import progress_bar
from streams.cli.running import interruptible, read_text
from streams.recording.reader import Recording
from streams.topics import PURCHASES
from streams.whole_file import write_whole

_DURATION: Final = re.compile(r"[0-9]{1,6}[smhd]")
# A terminal that is wider gets no wider table.
_WIDTH: Final = 100


class UnlabelledAs(StrEnum):
    """What purchases without a label count as."""

    LEFT_OUT = "left-out"
    GENUINE = "genuine"


def backtest(
    recording: Annotated[str, typer.Argument(help="A recording: a directory, or a URI.", show_default=False)],
    rules: Annotated[Path, typer.Option(help="The new rules (YAML).", show_default=False)],
    against: Annotated[
        Path | None, typer.Option(help="The old rules; by default what was in force last in the recording.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="More labels, CSV or JSON lines, beside those that were recorded.")
    ] = None,
    maturity: Annotated[
        str, typer.Option(help="Purchases younger than this at the recording's end count for no label: 60d, 12h.")
    ] = "60d",
    unlabelled: Annotated[
        UnlabelledAs, typer.Option(help="What mature purchases without a label count as.")
    ] = UnlabelledAs.LEFT_OUT,
    flips: Annotated[int, typer.Option(min=0, help="The most purchases shown of those decided otherwise.")] = 200,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as one page, for a browser, a phone or a printer.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON, and nothing else.")] = False,
) -> None:
    """Decide on recorded purchases under new rules, and tell what would be otherwise. Needs no broker.

    What an earlier purchase came to is worked out anew under each ruleset. Where the recording has labels, it tells
    how much fraud is caught and how many good purchases are stopped. Exit codes: 0 done, 2 not done, for the reason
    told, 130 ended by Ctrl-C.

        stopbank backtest recordings/march --rules new.yaml --against old.yaml
        stopbank backtest recordings/march --rules new.yaml --html march.html
        stopbank backtest recordings/march --rules new.yaml --json | jq .matrix
    """
    options = BacktestOptions(maturity_ms(maturity), unlabelled.value, flips)
    verify_writable(html, "--html")
    new = Contender(_compiled(rules), str(rules))
    old = Contender(_compiled(against), str(against)) if against is not None else None
    with interruptible() as verify:
        report = _run(Recording.open(recording), new, old, labels, options, verify)
        verify()
        if html is not None:
            write_whole(html, render_page(report))
        _show(report, as_json=as_json)


def _run(
    recording: Recording,
    new: Contender,
    old: Contender | None,
    labels: Path | None,
    options: BacktestOptions,
    verify: Callable[[], None],
) -> BacktestReport:
    in_force = in_force_last(recording) if old is None else None
    if in_force is not None:
        old = Contender(in_force, None)
    table = LabelTable.read(recording, labels)
    with progress_bar("deciding", recording.manifest.rows(PURCHASES), verify) as note:
        return run_backtest(recording, new, old, table, options, note)


def _show(report: BacktestReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    console = Console(highlight=False)
    console.print(summary(report), width=min(console.width, _WIDTH))


def verify_writable(file: Path | None, option: str) -> None:
    """Say at once, and not at the end, that a file can't be written."""
    if file is None:
        return
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a directory: name a file", param_hint=option)
    if not file.parent.is_dir():
        raise typer.BadParameter(f"{file.parent} is no directory: create it first", param_hint=option)


def _compiled(file: Path) -> CompiledRuleset:
    return compile_ruleset(read_text(file), str(file))


def maturity_ms(text: str) -> int:
    """The milliseconds of a duration that was given as --maturity."""
    if not _DURATION.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no duration like 60d or 12h", param_hint="--maturity")
    return duration_ms(text)
