"""How commands run: work that Ctrl-C ends, files that are read, and errors in words."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
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


@contextmanager
def interruptible() -> Generator[Callable[[], None], None, None]:
    """Ctrl-C ends what is done inside, with exit code 130.

    What it gives raises KeyboardInterrupt if Ctrl-C was pressed before: to be asked on the way, and before anything is
    written. Where records are validated an interrupt is taken for a fault of the record, and the work goes on; or it
    fails with an error of that record, which is not told then.
    """
    pressed = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def verify() -> None:
        if pressed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield verify
        verify()
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception:
        if pressed:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def read_text(file: Path, newline: str | None = None) -> str:
    """The text of a file; one that can't be read ends the command with exit code 2.

    Ends of lines become line feeds, unless `newline` is "": then they stay as they are.
    """
    try:
        with file.open(encoding="utf-8", newline=newline) as opened:
            return opened.read()
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
