"""`stopbank rules`."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rules.case_run import run_cases
from rules.language.check import CheckResult, check_text
from streams.cli.running import read_text, run
from streams.rulesets import publish as publish_source
from streams.rulesets import read_registry
from streams.rulesets import rollback as roll_back
from streams.settings import read_settings

_HELP = """
Check rules, put them into force, take them back.

`STOPBANK_RULESET` names the ruleset that decides.

```
stopbank rules check examples/rules/*.yaml
stopbank rules test examples/rules/*.yaml
stopbank rules publish examples/rules/checkout.yaml --note "tighter on new devices"
stopbank rules list
stopbank rules rollback
```
"""

app = typer.Typer(no_args_is_help=True, help=_HELP, short_help="Check rules, put them into force, take them back.")

RuleFile = Annotated[Path, typer.Argument(help="A rule file (YAML).", show_default=False)]


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Rule files (YAML).", show_default=False)],
) -> None:
    """Check rule files: errors with their place and a suggestion, then warnings. Needs no broker.

    Exit codes: 0 all can be published, 1 there are errors, 2 a file can't be read.

        stopbank rules check examples/rules/checkout.yaml
    """
    wrong = False
    for file, result in _checked(files):
        for diagnostic in result.diagnostics:
            typer.echo(diagnostic.render() + "\n", err=diagnostic.severity == "error")
        if result.compiled is None:
            wrong = True
            continue
        plan = result.compiled.plan
        hops = ", ".join("+".join(station.entity) for station in plan.stations) or "none"
        typer.echo(
            f"{file}: {len(result.compiled.document.rules)} rules, {_counted(len(result.cases))}, "
            f"{len(plan.features)} features, stations: {hops}; version {result.compiled.version}"
        )
    if wrong:
        raise typer.Exit(1)


def _checked(files: list[Path]) -> list[tuple[Path, CheckResult]]:
    # Read all before any is judged: what can't be read is not hidden by what is wrong.
    texts = [(file, read_text(file)) for file in files]
    return [(file, check_text(text, str(file))) for file, text in texts]


@app.command()
def test(
    files: Annotated[list[Path], typer.Argument(help="Rule files (YAML).", show_default=False)],
) -> None:
    """Run the cases of rule files through the steps of the live line, in memory. Needs no broker.

    Exit codes: 0 all passed, 1 a case failed or a file has errors, 2 a file can't be read.

        stopbank rules test examples/rules/checkout.yaml
    """
    wrong = False
    for file, result in _checked(files):
        if result.compiled is None:
            wrong = True
            for diagnostic in result.diagnostics:
                typer.echo(diagnostic.render() + "\n", err=True)
            continue
        failures = run_cases(result.compiled, result.cases)
        wrong = wrong or bool(failures)
        for failure in failures:
            typer.echo(failure.told(str(file)))
        typer.echo(f"{file}: {_summary(len(result.cases), len(failures))}")
    if wrong:
        raise typer.Exit(1)


def _summary(cases: int, failed: int) -> str:
    if not cases:
        return "no cases: write some under `cases:`"
    return f"{failed} of {_counted(cases)} failed" if failed else f"{_counted(cases)} passed"


def _counted(cases: int) -> str:
    return "1 case" if cases == 1 else f"{cases} cases"


@app.command()
def publish(
    file: RuleFile,
    note: Annotated[str, typer.Option(help="Why, for the history.")] = "",
) -> None:
    """Put a rule file into force. Workers take it up at once; purchases on their way keep their version.

    A file with errors is refused (exit code 2), and so is a change of currency without a rate for the old one.

        stopbank rules publish checkout.yaml --note "weekend limits"
    """
    compiled = run(publish_source(read_settings(), read_text(file), str(file), _who(), note))
    typer.echo(f"{compiled.id} is in force in version {compiled.version}")


@app.command("list")
def list_versions() -> None:
    """Show what was published, newest last; the arrow is in force."""
    settings = read_settings()
    registry = run(read_registry(settings))
    table = Table("", "ruleset", "version", "published (UTC)", "by", "note", box=None)
    for name, pointer in sorted(registry.pointers.items()):
        for number, entry in enumerate(pointer.history, 1):
            current = number == len(pointer.history)
            at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
            table.add_row("→" if current else "", name, entry.version, at, entry.by, entry.note)
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        typer.echo("nothing was published yet: `stopbank rules publish FILE`")


@app.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="A version from `list`; the one before by default.")] = None,
    note: Annotated[str, typer.Option(help="Why, for the history.")] = "rollback",
) -> None:
    """Put an earlier version into force again.

    ```
    stopbank rules rollback
    stopbank rules rollback d212d85aef169ca3 --note "the new limits block too much"
    ```
    """
    settings = read_settings()
    chosen = run(roll_back(settings, _who(), version, note))
    typer.echo(f"{settings.ruleset} is in force in version {chosen}")


def _who() -> str:
    """Who publishes; in a container, a user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
