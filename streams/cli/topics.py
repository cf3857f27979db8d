"""`stopbank topics`."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.running import run
from streams.clients import admin_client
from streams.settings import Settings, read_settings
from streams.topics import DEFAULT_PARTITIONS, SPECS, create_topics


def _listed(*, internal: bool) -> str:
    return "\n".join(f"- `{spec.name}`: {spec.holds}" for spec in SPECS if spec.internal is internal)


_HELP = f"""
Stopbank's topics.

{_listed(internal=False)}

Internal, for workers only:

{_listed(internal=True)}

`STOPBANK_TOPIC_PREFIX` goes before every name.
"""

app = typer.Typer(no_args_is_help=True, help=_HELP, short_help="Create Stopbank's topics.")


@app.callback()
def topics() -> None:
    """Stopbank's topics."""


@app.command()
def create(
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help=f"Partitions of each topic; {DEFAULT_PARTITIONS} by default."),
    ] = None,
    replication_factor: Annotated[
        int, typer.Option(min=1, max=9, help="Copies of each partition; 3 on three brokers or more, to lose none.")
    ] = 1,
) -> None:
    """Create the topics that are missing; what is there and fits is left alone.

    The number of partitions is the most workers that can share the work. That of `assessments` and `sightings`
    can't be changed later: state lies in the partition of its key. Each has as many as its changelog: where one
    of the two is there, the other takes its number. Where those that are there don't fit, nothing is created,
    and the reason and what to do are told (exit code 2).

        stopbank topics create --partitions 12 --replication-factor 3
    """
    created = run(_create(read_settings(), partitions, replication_factor))
    for name in created:
        typer.echo(f"created {name}")
    if not created:
        typer.echo("all topics are there")


async def _create(settings: Settings, partitions: int | None, replication_factor: int) -> list[str]:
    async with admin_client(settings) as admin:
        return await create_topics(admin, settings.topic_prefix, partitions, replication_factor)
