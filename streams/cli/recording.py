"""`stopbank recording`: what `stopbank record` wrote, verified, described, cut and imported."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from models.fields import EventTimeMs
from streams.cli.progress import progress_bar, summed
from streams.cli.running import interruptible
from streams.recording.errors import RecordingError
from streams.recording.importing import import_lines
from streams.recording.info import RecordingInfo, describe
from streams.recording.location import Location
from streams.recording.manifest import MANIFEST, Manifest, SliceOf
from streams.recording.reader import Recording
from streams.recording.slice import cut
from streams.recording.verify import verify as verify_recording
from streams.settings import read_settings
from streams.topics import DEFAULT_PARTITIONS

_HELP = """
Recordings: verify, describe and cut what `stopbank record` wrote, or import one.

A recording is a directory, or a place in an object store like `s3://bucket/october`.

```
stopbank recording verify recordings/october
stopbank recording info recordings/october
stopbank recording slice recordings/october late --from 2026-10-20T00:00:00Z
stopbank recording import history.jsonl.gz recordings/history
```
"""
_MB = 1024 * 1024
_moment = TypeAdapter[int](EventTimeMs)

app = typer.Typer(no_args_is_help=True, help=_HELP, short_help="Verify, describe, cut and import recordings.")

Place = Annotated[str, typer.Argument(metavar="DIRECTORY|URI", help="Where it lies.", show_default=False)]
NewPlace = Annotated[str, typer.Argument(metavar="DIRECTORY|URI", help="Where to.", show_default=False)]


@app.command()
def verify(recording: Place) -> None:
    """Read all of it: every checksum, every offset, no gap. Exit code 1 where something is wrong, all of it named.

    Files that do not belong to it are named too; they do no harm.

        stopbank recording verify recordings/october
    """
    try:
        opened = Recording.open(recording)
    except RecordingError as error:
        if not Location(recording).exists(MANIFEST):
            raise
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    rows = sum(entry.rows for entry in opened.manifest.segments)
    with interruptible() as verify_not_pressed, progress_bar("verifying", rows, verify_not_pressed) as note:
        verdict = verify_recording(opened, summed(note))
    for stray in verdict.strays:
        typer.echo(f"{recording}/{stray}: no part of the recording")
    for damage in verdict.damages:
        typer.echo(damage, err=True)
    if verdict.damages:
        typer.echo(f"{len(verdict.damages)} of {len(opened.manifest.segments)} segments are damaged", err=True)
        raise typer.Exit(1)
    typer.echo(
        f"{recording}: whole: {verdict.records} records in {verdict.segments} segments, "
        f"{verdict.size_bytes / _MB:.1f} MB"
    )


@app.command()
def info(recording: Place, as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False) -> None:
    """Say what is in it: topics, offsets, times, versions of rules, labels.

    With `--json` offsets by partition too.

        stopbank recording info recordings/october --json | jq .versions
    """
    with interruptible() as verify_not_pressed:
        described = describe(Recording.open(recording))
        verify_not_pressed()
    if as_json:
        slice_of = described.slice_of.model_dump() if described.slice_of is not None else None
        typer.echo(orjson.dumps({**asdict(described), "slice_of": slice_of}, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(described)


@app.command("slice")
def slice_(
    recording: Place,
    destination: NewPlace,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From this time on: RFC 3339, or epoch ms.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before this time.")] = None,
    account: Annotated[list[str] | None, typer.Option("--account", help="Of this account; repeatable.")] = None,
    entity: Annotated[
        list[str] | None, typer.Option("--entity", metavar="FIELD:VALUE", help="Of this entity; repeatable.")
    ] = None,
) -> None:
    """Cut a smaller recording out of it.

    By time alone it can be replayed: it begins with the state of its first moment. Times are the broker's. By
    accounts or entities it holds their purchases and what concerns them, without state: for backtests.

        stopbank recording slice recordings/october friday --from 2026-10-02T00:00:00Z
        stopbank recording slice recordings/october farm --entity device_id:d-0009 --account a-17
    """
    by = SliceOf(
        from_ms=_moment_of(begin, "--from"),
        until_ms=_moment_of(until, "--until"),
        accounts=sorted({*(account or ())}),
        entities=sorted({*(entity or ())}),
    )
    if by == SliceOf():
        raise typer.BadParameter("say what to cut by: --from, --until, --account or --entity")
    if by.from_ms is not None and by.until_ms is not None and by.from_ms >= by.until_ms:
        raise typer.BadParameter("--until is not after --from")
    with interruptible() as verify_not_pressed, progress_bar("cutting", verify=verify_not_pressed) as note:
        manifest = cut(Recording.open(recording), destination, by, note)
    typer.echo(_written(manifest, destination))


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON lines; .gz too.", show_default=False)],
    destination: NewPlace,
    partitions: Annotated[int, typer.Option(min=1, max=10_000, help="Partitions of each topic.")] = DEFAULT_PARTITIONS,
) -> None:
    """Make a recording of JSON lines, to backtest on purchases that never went through Stopbank.

    A line is a record of a simulation's file (`topic`, `key`, `at_ms`, `value`), or simply a purchase, a label, a
    credit limit, a repayment or a settlement. They may come in any order. Where a line is wrong, it is named, and
    nothing is written.

        stopbank recording import purchases.jsonl.gz labels.jsonl recordings/history
    """
    settings = read_settings()
    with interruptible() as verify_not_pressed, progress_bar("importing", verify=verify_not_pressed) as note:
        manifest = import_lines(files, destination, settings, partitions, note)
    typer.echo(_written(manifest, destination))


def _written(manifest: Manifest, place: str) -> str:
    rows = sum(entry.rows for entry in manifest.segments)
    size_bytes = sum(entry.size_bytes for entry in manifest.segments)
    return f"wrote {rows} records to {place}, {size_bytes / _MB:.1f} MB"


def _moment_of(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return _moment.validate_python(int(text) if text.isdecimal() else text)
    except ValidationError:
        raise typer.BadParameter(
            f"{option} {text!r} is no time: write it as 2026-10-02T00:00:00Z, or in epoch milliseconds"
        ) from None


def _show(described: RecordingInfo) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("topic", no_wrap=True)
    for title in ("parts", "records", "files", "MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("first (UTC)", "last (UTC)"):
        # A narrow terminal has the date above the time.
        table.add_column(title, min_width=10)
    for topic in described.topics:
        table.add_row(
            topic.topic,
            str(topic.partitions),
            f"{topic.records:,}",
            str(topic.segments),
            f"{topic.size_bytes / _MB:.1f}",
            _minute(topic.first_ms),
            _minute(topic.last_ms),
        )
    console = Console(highlight=False)
    console.print(f"ruleset {described.ruleset}, made {_utc(described.created_ms)} (UTC)")
    if described.slice_of is not None:
        console.print(f"a slice: {_cut_by(described.slice_of)}")
    console.print(table)
    for version in described.versions:
        console.print(
            f"rules   {version.ruleset} {version.version}, {_utc(version.at_ms)} by {version.by} {version.note}"
        )
    labels = ", ".join(f"{count:,} {verdict}" for verdict, count in described.labels.items()) or "none"
    console.print(f"labels  {labels}")


def _cut_by(by: SliceOf) -> str:
    times = [f"{word} {_utc(ms)}" for word, ms in (("from", by.from_ms), ("until", by.until_ms)) if ms is not None]
    return "; ".join([*times, *(f"account {name}" for name in by.accounts), *by.entities])


def _utc(ms: int | None) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if ms is not None else ""


def _minute(ms: int | None) -> str:
    return _utc(ms)[:16]
