"""How commands run: work that Ctrl-C ends, files that are read, and errors in words."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import typer

_Result = TypeVar("_Result")

# What a shell reports of a command that Ctrl-C ended.
EXIT_INTERRUPTED: Final = 130
EXIT_UNDONE: Final = 2


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end; Ctrl-C ends it in order, with exit code 130."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def read_text(file: Path) -> str:
    """The text of a file; one that can't be read ends the command with exit code 2."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        said = f"line {line} is not UTF-8: save it in that encoding"
    except OSError as error:
        said = error.strerror or str(error)
    typer.echo(f"stopbank: {file} can't be read: {said}", err=True)
    raise typer.Exit(EXIT_UNDONE)


def os_error_in_words(error: OSError) -> str:
    """A system's error, its file first where it is about one."""
    told = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{error.filename}: {told}" if error.filename else told
