"""`stopbank tune`."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

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
from streams.tune.options import Limits, RuleText, TuneOptions
from streams.tune.patch import name_in_patch
from streams.tune.report import TuneReport
from streams.tune.run import run_tune
from streams.tune.terminal import patch_text, summary
from streams.whole_file import write_whole

_AMOUNT: Final = re.compile(r"[0-9][0-9_,]{0,20}(\.[0-9]{1,6})?")
# Done, and nothing is within the budget.
_EXIT_OVER_BUDGET: Final = 1


def tune(
    recording: Place,
    rules: Annotated[Path, typer.Option(help="The rules (YAML), with values to `try`.", show_default=False)],
    labels: LabelFile = None,
    maturity: Maturity = "60d",
    unlabelled: Unlabelled = UnlabelledAs.LEFT_OUT,
    max_flag_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="The best flags at most this share of purchases: 0.02.")
    ] = None,
    max_block_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="The best blocks at most this share of purchases: 0.005.")
    ] = None,
    max_cost: Annotated[
        str | None,
        typer.Option(help="The best stops good purchases of at most this amount, in the rules' currency: 10_000.00."),
    ] = None,
    holdout: Annotated[
        float, typer.Option(min=0, max=0.9, help="The last share of labelled purchases: shown, not chosen by. 0: none.")
    ] = 0.25,
    max_candidates: Annotated[int, typer.Option(min=1, help="The most candidates, alone and in pairs.")] = 5_000,
    patch: Annotated[Path | None, typer.Option(help="Where to write the patch that makes the rules the best.")] = None,
    html: Annotated[Path | None, typer.Option(help="Where to write the report as one page that stands alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find better values for the parameters of a rule file, on a recording with labels. Needs no broker.

    Each parameter with values to `try` is swept alone, and each two of them together. Told are recall against good
    purchases stopped, what no other beats, and the best within a budget as a patch of the rule file. Exit codes: 0
    done, 1 nothing is within the budget, 2 not done, for the reason told, 130 ended by Ctrl-C.

        stopbank tune recordings/march --rules rules.yaml
        stopbank tune recordings/march --rules rules.yaml --max-flag-rate 0.02 \\
            --patch best.patch --html tuned.html
        git apply best.patch
    """
    limits = Limits(max_flag_rate, max_block_rate, _cost(max_cost))
    if patch is not None and limits == Limits():
        raise typer.BadParameter("without a budget there is no best candidate to make a patch of", param_hint="--patch")
    verify_writable(patch, "--patch", rules, labels)
    verify_writable(html, "--html", rules, labels, patch)
    options = TuneOptions(maturity_ms(maturity), unlabelled.value, holdout, max_candidates, limits)
    text = RuleText(read_text(rules, newline=""), str(rules), name_in_patch(rules, Path.cwd()))
    with interruptible() as verify:
        opened = Recording.open(recording)
        progress = partial(progress_bar, verify=verify)
        report = run_tune(opened, text, LabelTable.read(opened, labels), options, progress)
        verify()
        if patch is not None and report.patch is not None:
            write_whole(patch, report.patch)
        if html is not None:
            # Here, because charts take longer to import than all else, and without a page nobody needs them.
            from streams.tune.page import render_page

            write_whole(html, render_page(report))
        _show(report, text, patch, as_json=as_json)
    if report.budget is not None and report.best is None:
        raise typer.Exit(_EXIT_OVER_BUDGET)


def _show(report: TuneReport, rules: RuleText, patch: Path | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    console = Console(highlight=False)
    console.print(summary(report), width=min(console.width, MOST_COLUMNS))
    if report.patch is not None:
        console.print(patch_text(report.patch), soft_wrap=True)
        if patch is not None:
            console.print(f"\nWritten to {patch}.", soft_wrap=True)
        if not Path(rules.name_in_patch).exists():
            console.print(
                f"\nThe patch names the file from {Path(rules.file).parent.resolve()}: apply it there.", soft_wrap=True
            )
    elif report.best is not None:
        console.print("The file as it is has the best values: there is nothing to patch.")


def _cost(text: str | None) -> Decimal | None:
    if text is None:
        return None
    if not _AMOUNT.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no amount like 10_000.00", param_hint="--max-cost")
    return Decimal(text.replace("_", "").replace(",", ""))
