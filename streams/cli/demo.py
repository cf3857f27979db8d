"""`stopbank demo`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from streams.demo.run import run_demo
from streams.demo.stage import DemoError


def demo(
    rate: Annotated[float, typer.Option(min=1, help="Purchases a second.")] = 280,
    workers: Annotated[int, typer.Option(min=1, max=4, help="Worker processes.")] = 2,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, until Ctrl-C.")] = False,
) -> None:
    """Watch purchases being decided: an embedded broker, two workers, a recording; about a minute.

    Needs nothing but Python, and leaves nothing running.
    """
    console = Console()
    try:
        asyncio.run(run_demo(console, rate=rate, workers=workers, keep=keep))
    except DemoError as error:
        typer.echo(f"stopbank: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
