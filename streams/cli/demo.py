"""`stopbank demo`."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer
from rich.console import Console

from streams.cli.running import run
from streams.demo.run import run_demo
from streams.demo.stage import DemoError

# Without this, a terminal that is closed would leave the broker and the workers behind.
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_EXIT_OF_SIGNAL = 128


def demo(
    rate: Annotated[float, typer.Option(min=1, help="Purchases a second.")] = 280,
    workers: Annotated[int, typer.Option(min=1, max=4, help="Worker processes.")] = 2,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, until Ctrl-C.")] = False,
) -> None:
    """Watch purchases being decided: an embedded broker, two workers, a recording; about a minute.

    Needs nothing but Python, and leaves nothing running. Settings in the environment are not looked at.

        stopbank demo --rate 1000 --keep
    """
    console = Console()
    try:
        run(_until_signalled(console, rate, workers, keep))
    except DemoError as error:
        typer.echo(f"stopbank: {error}", err=True)
        raise typer.Exit(1) from None


async def _until_signalled(console: Console, rate: float, workers: int, keep: bool) -> None:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    received: list[int] = []

    def end(number: int) -> None:
        received.append(number)
        if task is not None:
            task.cancel()

    for number in _ENDING:
        loop.add_signal_handler(number, end, number)
    try:
        await run_demo(console, rate=rate, workers=workers, keep=keep)
    except asyncio.CancelledError:
        # Ctrl-C is for `run` to tell.
        if not received:
            raise
        raise typer.Exit(_EXIT_OF_SIGNAL + received[0]) from None
