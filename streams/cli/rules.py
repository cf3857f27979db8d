"""`stopbank rules`."""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rules.language.check import check_text
from streams.rulesets import publish as publish_source
from streams.rulesets import read_registry
from streams.rulesets import rollback as roll_back
from streams.settings import read_settings

app = typer.Typer(no_args_is_help=True, help="Check rules, put them into force, take them back.")

RuleFile = Annotated[Path, typer.Argument(help="A rule file (YAML).", show_default=False)]


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Rule files (YAML).", show_default=False)],
) -> None:
    """Check rule files: errors with their place and a suggestion, then the linter's warnings.

    Exit codes: 0 all can be published, 1 there are errors, 2 a file can't be read.
    """
    wrong = False
    for file in files:
        result = check_text(_read(file), str(file))
        for diagnostic in result.diagnostics:
            typer.echo(diagnostic.render() + "\n", err=diagnostic.severity == "error")
        if result.compiled is None:
            wrong = True
            continue
        plan = result.compiled.plan
        hops = ", ".join("+".join(station.entity) for station in plan.stations) or "none"
        typer.echo(
            f"{file}: {len(result.compiled.document.rules)} rules, {len(plan.features)} features, "
            f"stations: {hops}; version {result.compiled.version}"
        )
    if wrong:
        raise typer.Exit(1)


@app.command()
def publish(
    file: RuleFile,
    note: Annotated[str, typer.Option(help="Why, for the history.")] = "",
) -> None:
    """Put a rule file into force. Workers take it up at once; purchases on their way keep their version."""
    compiled = asyncio.run(publish_source(read_settings(), _read(file), str(file), getpass.getuser(), note))
    typer.echo(f"{compiled.id} is in force in version {compiled.version}")


@app.command("list")
def list_versions() -> None:
    """Show what was published, newest last; the arrow is in force."""
    settings = read_settings()
    registry = asyncio.run(read_registry(settings))
    table = Table("", "ruleset", "version", "published (UTC)", "by", "note", box=None)
    for name, pointer in sorted(registry.pointers.items()):
        for number, entry in enumerate(pointer.history):
            current = entry.version == pointer.version and number == len(pointer.history) - 1
            at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
            table.add_row("→" if current else "", name, entry.version, at, entry.by, entry.note)
    if table.row_count:
        Console().print(table)
    else:
        typer.echo("nothing was published yet: `stopbank rules publish FILE`")


@app.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="A version from `list`; the one before by default.")] = None,
) -> None:
    """Put an earlier version into force again."""
    settings = read_settings()
    chosen = asyncio.run(roll_back(settings, getpass.getuser(), version))
    typer.echo(f"{settings.ruleset} is in force in version {chosen}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        said = f"line {line} is not UTF-8: save it in that encoding"
    except OSError as error:
        said = error.strerror or str(error)
    typer.echo(f"stopbank: {file} can't be read: {said}", err=True)
    raise typer.Exit(2)
