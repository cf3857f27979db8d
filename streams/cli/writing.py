"""Writing records into a broker, with a bar, and with a word on how many are there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import typer

from streams.cli.progress import progress_bar
from streams.cli.running import EXIT_INTERRUPTED, run


def write_records(rows: int, write: Callable[[Callable[[int], None]], Coroutine[Any, Any, None]]) -> None:
    """Run what writes so many records; it is given what to tell how many of them are acknowledged.

    Says how many are written, also where Ctrl-C ends it (exit code 130).
    """
    acknowledged = 0
    with progress_bar("writing", rows) as told:

        def note(written: int) -> None:
            nonlocal acknowledged
            acknowledged = written
            told(written)

        try:
            run(write(note))
        except typer.Exit as end:
            if end.exit_code == EXIT_INTERRUPTED:
                typer.echo(f"stopbank: ended early, at least {acknowledged} of {rows} records are written", err=True)
            raise
    typer.echo(f"wrote {rows} records")
