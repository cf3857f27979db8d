"""`stopbank simulate` and `stopbank produce`: records into files and into Kafka."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.writing import write_records
from streams.produce import moved_to, produce_lines, read_lines
from streams.settings import read_settings
from streams.simulate import SimulationConfig, write_events
from streams.simulate import simulate as run_simulation


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Recording to write; .gz compresses.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    accounts: Annotated[int, typer.Option(min=10, help="Accounts.")] = 400,
    purchases: Annotated[int, typer.Option(min=1, help="Purchases.")] = 12_000,
    hours: Annotated[float, typer.Option(min=0.01, help="Event time that they span.")] = 6.0,
    start: Annotated[datetime, typer.Option(help="Event time of the first, UTC.")] = datetime(2026, 3, 2, 6),  # noqa: DTZ001  # typer parses a naive time
    fraud_share: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share of fraudulent purchases.")] = 0.03,
) -> None:
    """Make up purchases: accounts with habits, and labelled fraud. Needs no broker.

    Card testing, account takeover, device farms, bust-out on credit and merchant collusion. The file has one
    JSON record a line: `topic`, `key`, `at_ms`, `value`. Equal options give equal files, byte for byte.

        stopbank simulate --output afternoon.jsonl.gz --seed 11 --purchases 50000
    """
    at = start.replace(tzinfo=UTC) if start.tzinfo is None else start
    try:
        config = SimulationConfig(seed, accounts, purchases, int(at.timestamp() * 1000), hours * 3600, fraud_share)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    simulation = run_simulation(config)
    write_events(simulation.events, output)
    typer.echo(f"wrote {len(simulation.events)} records to {output}")


def produce(
    file: Annotated[Path, typer.Argument(help="JSON lines; .gz too.", show_default=False)],
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Records a second; as fast as it goes by default.")
    ] = None,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move event times so that the last purchase is now.")
    ] = False,
) -> None:
    """Write a file's records to their topics.

    A line is a record of a recording (`topic`, `key`, `at_ms`, `value`) or simply a purchase. The whole file
    is read first: where a line is wrong, it is named, and nothing is written. Ctrl-C ends it (exit code 130).

        stopbank produce examples/recordings/demo.jsonl.gz --rate 200 --shift-to-now
    """
    settings, lines = read_settings(), list(read_lines(file))
    if shift_to_now:
        lines = moved_to(lines, int(datetime.now(UTC).timestamp() * 1000))
    write_records(len(lines), lambda note: produce_lines(settings, lines, rate, note))
