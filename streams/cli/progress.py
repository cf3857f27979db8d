"""A bar for work that takes longer than a moment: how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Note(Protocol):
    """Hears how much is done by now, and of how much where that is known only on the way."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Move the bar."""
        ...


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """So many a second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


@contextmanager
def progress_bar(
    what: str, total: int | None = None, verify: Callable[[], None] = lambda: None
) -> Generator[Note, None, None]:
    """A bar on stderr, if that is a terminal; what it gives is to be told how much is done.

    `verify` is called each time before, and at the end: it may raise what is to end the work.
    """
    # What is told at the end goes to a file, the bar to whoever waits.
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def note(done: int, total: int | None = None) -> None:
            verify()
            bar.update(task, completed=done, total=total)

        yield note
        verify()


def summed(note: Note) -> Callable[[int], None]:
    """For work that tells how much it did since it told last."""
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        note(done)

    return add
