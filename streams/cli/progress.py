"""A bar for work that takes longer than a moment: how far, how fast, how long still."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """So many a second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


@contextmanager
def progress_bar(what: str, total: int, verify: Callable[[], None]) -> Generator[Callable[[int], None], None, None]:
    """A bar on stderr, if that is a terminal; what it gives is to be told how much is done.

    `verify` is called each time before: it may raise what is to end the work.
    """
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def note(done: int) -> None:
            verify()
            bar.update(task, completed=done)

        yield note
