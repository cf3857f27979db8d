"""`stopbank record`."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from streams.cli.running import EXIT_INTERRUPTED, run
from streams.recording.recorder import Progress, Recorder
from streams.settings import read_settings

_MB = 1024 * 1024


def record(
    place: Annotated[
        str,
        typer.Argument(metavar="DIRECTORY|URI", help="Where to, e.g. `s3://bucket/recording`.", show_default=False),
    ],
    segment_mb: Annotated[int, typer.Option(min=1, help="Write when so much is in memory.")] = 64,
    rotate_s: Annotated[float, typer.Option(min=0.1, help="Write after so many seconds at the latest.")] = 60.0,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop when what was there at the start is recorded.")
    ] = False,
) -> None:
    """Record all topics into Parquet files, for `stopbank replay` and `stopbank backtest`; until Ctrl-C.

    Started again, or killed and started again, it goes on where the recording ends: no gap, no overlap. State comes
    along, so that a recording may begin at any time. What is read from it is checked: see `stopbank recording`.
    SIGTERM ends it in order (exit code 0), Ctrl-C too (130); a second Ctrl-C ends it at once.

        stopbank record recordings/october
        stopbank record recordings/october --until-end
    """
    view = _View(Console(stderr=True, highlight=False))
    recorder = Recorder(
        read_settings(), place, segment_bytes=segment_mb * _MB, rotate_s=rotate_s, on_progress=view.update
    )
    with view:
        progress, interrupted = run(_until_signalled(recorder, until_end=until_end))
    if not progress.segments:
        typer.echo(f"stopped before {place} had begun: nothing is recorded")
    else:
        _tell(progress, place)
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def _tell(progress: Progress, place: str) -> None:
    typer.echo(
        f"recorded {progress.committed} records to {place}, which has {progress.segments} segments, "
        f"{progress.size_bytes / _MB:.1f} MB"
    )


async def _until_signalled(recorder: Recorder, *, until_end: bool) -> tuple[Progress, bool]:
    """Run the recorder; returns how far it came, and whether Ctrl-C ended it."""
    loop, received = asyncio.get_running_loop(), list[int]()

    def end(number: int) -> None:
        if signal.SIGINT in received:
            raise KeyboardInterrupt
        received.append(number)
        recorder.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    progress = await recorder.run(until_end=until_end)
    return progress, signal.SIGINT in received


class _Speed(ProgressColumn):
    """Records a second, of the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


class _View:
    """A line that moves on a terminal; elsewhere a line for each commit."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.completed:,.0f} records"),
            _Speed(),
            TextColumn("{task.fields[mb]:.1f} MB"),
            TextColumn("{task.fields[lag]:,} behind"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", total=None, mb=0.0, lag=0)

    def __enter__(self) -> _View:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, progress: Progress) -> None:
        """Show how far it is."""
        mb = progress.size_bytes / _MB
        self._bars.update(self._task, completed=progress.taken, mb=mb, lag=progress.lag)
        if not self._console.is_terminal and progress.committed > self._told:
            self._told = progress.committed
            at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self._console.print(
                f"{at} recorded {progress.committed} records, {mb:.1f} MB, {progress.lag} behind", soft_wrap=True
            )
