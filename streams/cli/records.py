"""`stopbank simulate`, `produce` and `tail`: records in and decisions out."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from models.decision import Action, InvalidDecision, decode_decision
from streams.clients import reading_client
from streams.produce import produce_file
from streams.settings import Settings, read_settings
from streams.show import decision_line
from streams.simulate import SimulationConfig, write_recording
from streams.simulate import simulate as run_simulation
from streams.topics import BLOCKED, DECISIONS, FLAGGED

_TOPIC_OF = {None: DECISIONS, Action.BLOCK: BLOCKED, Action.FLAG: FLAGGED}


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Recording to write; .gz compresses.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    accounts: Annotated[int, typer.Option(min=10, help="Accounts.")] = 400,
    purchases: Annotated[int, typer.Option(min=1, help="Purchases.")] = 12_000,
    hours: Annotated[float, typer.Option(min=0.01, help="Event time that they span.")] = 6.0,
    start: Annotated[datetime, typer.Option(help="Event time of the first, UTC.")] = datetime(2026, 3, 2, 6),  # noqa: DTZ001  # typer parses a naive time
    fraud_share: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share of fraudulent purchases.")] = 0.03,
) -> None:
    """Make up purchases: accounts with habits, and labelled fraud.

    Card testing, account takeover, device farms, bust-out on credit and merchant collusion. The file has one
    JSON record a line: `topic`, `key`, `at_ms`, `value`.
    """
    start_ms = int(start.replace(tzinfo=UTC).timestamp() * 1000)
    config = SimulationConfig(seed, accounts, purchases, start_ms, hours * 3600, fraud_share)
    simulation = run_simulation(config)
    write_recording(simulation.events, output)
    typer.echo(f"wrote {len(simulation.events)} records to {output}")


def produce(
    file: Annotated[Path, typer.Argument(help="JSON lines; .gz too.", show_default=False)],
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Records a second; as fast as it goes by default.")
    ] = None,
    shift_to_now: Annotated[bool, typer.Option(help="Move event times so that the last is now.")] = False,
) -> None:
    """Write a file's records to their topics.

    A line is a record of a recording (`topic`, `key`, `at_ms`, `value`) or simply a purchase.
    """
    count = asyncio.run(produce_file(read_settings(), file, rate=rate, shift_to_now=shift_to_now))
    typer.echo(f"wrote {count} records")


def tail(
    as_json: Annotated[bool, typer.Option("--json", help="The decisions as they are, one a line.")] = False,
    from_beginning: Annotated[bool, typer.Option(help="All that are kept, not only new ones.")] = False,
    action: Annotated[Action | None, typer.Option(help="Only flags, or only blocks.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="End after so many.")] = None,
) -> None:
    """Show decisions as they come, until Ctrl-C."""
    if action is Action.APPROVE:
        raise typer.BadParameter("approvals have no topic of their own: use flag or block")
    try:
        asyncio.run(_tail(read_settings(), _TOPIC_OF[action], as_json, from_beginning, limit))
    except KeyboardInterrupt:
        return


async def _tail(settings: Settings, topic: str, as_json: bool, from_beginning: bool, limit: int | None) -> None:
    console, shown = Console(highlight=False), 0
    async with reading_client(settings, topic, from_beginning=from_beginning) as consumer:
        async for record in consumer:
            if as_json:
                sys.stdout.write((record.value or b"").decode() + "\n")
                sys.stdout.flush()
            else:
                try:
                    console.print(decision_line(decode_decision(record.value or b"")))
                except InvalidDecision as error:
                    console.print(f"[red]{orjson.dumps(str(error)).decode()}[/red]")
            shown += 1
            if shown == limit:
                return
