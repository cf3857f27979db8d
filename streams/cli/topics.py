"""`stopbank topics`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from streams.clients import admin_client
from streams.settings import Settings, read_settings
from streams.topics import create_topics

app = typer.Typer(no_args_is_help=True, help="Stopbank's topics.")


@app.callback()
def topics() -> None:
    """Stopbank's topics."""


@app.command()
def create(
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Partitions of each topic.")] = 4,
    replication_factor: Annotated[int, typer.Option(min=1, max=9, help="Copies of each partition.")] = 1,
) -> None:
    """Create the topics that are missing; what is there and fits is left alone.

    The number of partitions is the most workers that can share the work. It can't be changed later: the
    state of an account lies in the partition of its key.
    """
    created = asyncio.run(_create(read_settings(), partitions, replication_factor))
    for name in created:
        typer.echo(f"created {name}")
    if not created:
        typer.echo("all topics are there")


async def _create(settings: Settings, partitions: int, replication_factor: int) -> list[str]:
    async with admin_client(settings) as admin:
        return await create_topics(admin, settings.topic_prefix, partitions, replication_factor)
