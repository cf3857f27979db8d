"""`stopbank backtest`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rules.language.compile import CompiledRuleset, compile_ruleset
from streams.backtest.contender import Contender
from streams.backtest.in_force import in_force_last
from streams.backtest.report import BacktestReport
from streams.backtest.run import BacktestOptions, run_backtest
from streams.backtest.terminal import summary
from streams.cli.progress import progress_bar
from streams.cli.report_options import (
    MOST_COLUMNS,
    AsJson,
    LabelFile,
    Maturity,
    Place,
    Unlabelled,
    UnlabelledAs,
    maturity_ms,
    verify_writable,
)
from streams.cli.running import interruptible, read_text
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from streams.topics import PURCHASES
from streams.whole_file import write_whole


def backtest(
    recording: Place,
    rules: Annotated[Path, typer.Option(help="The new rules (YAML).", show_default=False)],
    against: Annotated[
        Path | None, typer.Option(help="The old rules; by default what was in force last in the recording.")
    ] = None,
    labels: LabelFile = None,
    maturity: Maturity = "60d",
    unlabelled: Unlabelled = UnlabelledAs.LEFT_OUT,
    flips: Annotated[int, typer.Option(min=0, help="The most purchases shown of those decided otherwise.")] = 200,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as one page, for a browser, a phone or a printer.")
    ] = None,
    as_json: AsJson = False,
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
    verify_writable(html, "--html", rules, against, labels)
    new = Contender(_compiled(rules), str(rules))
    old = Contender(_compiled(against), str(against)) if against is not None else None
    with interruptible() as verify:
        report = _run(Recording.open(recording), new, old, labels, options, verify)
        verify()
        if html is not None:
            # Here, because charts take longer to import than all else, and without a page nobody needs them.
            from streams.backtest.page import render_page

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
    console.print(summary(report), width=min(console.width, MOST_COLUMNS))


def _compiled(file: Path) -> CompiledRuleset:
    return compile_ruleset(read_text(file), str(file))
