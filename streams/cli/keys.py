"""`stopbank keys`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from models.rule_fields import duration_s
from streams.gateway.api_key import ApiKey, KeyScope
from streams.gateway.key_file import KeyFile, new_key, read_keys

_HELP = """
API keys of the gateway: make, show, replace and withdraw them.

Keys lie in a file, their secrets as hashes; gateways read it again within seconds of a change.
`STOPBANK_GATEWAY_KEYS_FILE` names it, here and for `stopbank gateway`.

```
export STOPBANK_GATEWAY_KEYS_FILE=keys.yaml
stopbank keys create --scope decide --name checkout
stopbank keys rotate qk3x7mwpza --overlap 24h
stopbank keys list
stopbank keys revoke qk3x7mwpza
```
"""

app = typer.Typer(no_args_is_help=True, help=_HELP, short_help="Make and withdraw the gateway's API keys.")

_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,5})[smhd]", re.ASCII)


def _duration(text: str) -> timedelta:
    if _DURATION.fullmatch(text) is None:
        raise typer.BadParameter(f"{text!r} is not a number with s, m, h or d, e.g. 90d")
    return timedelta(seconds=duration_s(text))


KeysFile = Annotated[
    Path,
    typer.Option("--file", "-f", envvar="STOPBANK_GATEWAY_KEYS_FILE", help="The keys file (YAML).", show_default=False),
]
Id = Annotated[str, typer.Argument(help="A key's id, from `list`.", show_default=False)]


@app.command()
def create(
    file: KeysFile,
    scope: Annotated[
        list[KeyScope],
        typer.Option(
            help="What it may do: decide (send and settle purchases), read (look decisions up), admin (see how the "
            "gateway is). Several times for several.",
            show_default=False,
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Whose it is, for `list`.")] = None,
    expires: Annotated[
        timedelta | None, typer.Option(parser=_duration, metavar="TIME", help="When it ends, from now, e.g. 90d.")
    ] = None,
    rate_per_s: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Requests per second.")] = None,
    max_in_flight: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Requests at the same time.")] = None,
) -> None:
    """Make a key and show it, alone on standard output: nobody can show it again.

    stopbank keys create --scope decide --name checkout --expires 90d
    """
    key, shown = new_key(scope, _now(), name, expires, rate_per_s, max_in_flight)
    KeyFile(file).create(key)
    typer.echo(str(shown))
    typer.echo(f"The key {key.id} is in {file}. Keep it now: only its hash is kept here.", err=True)


@app.command("list")
def list_keys(file: KeysFile) -> None:
    """Show the keys, without their secrets."""
    table = Table("id", "name", "scopes", "created (UTC)", "ends (UTC)", "limits", "", box=None)
    now = _now()
    for key in read_keys(file):
        table.add_row(
            key.id,
            key.name or "",
            ", ".join(key.scopes),
            _shown(key.created),
            _shown(key.expires) or "never",
            _limits(key),
            _state(key, now),
        )
    if table.row_count:
        Console(highlight=False).print(table)
    else:
        typer.echo("there are no keys: `stopbank keys create --scope decide`")


@app.command()
def rotate(
    key_id: Id,
    file: KeysFile,
    overlap: Annotated[
        timedelta, typer.Option(parser=_duration, metavar="TIME", help="How long the old secret still passes.")
    ] = "24h",  # pyright: ignore[reportArgumentType]  # the parser makes a duration of it
) -> None:
    """Give a key a new secret and show it, alone on standard output. The old one passes for a while.

    stopbank keys rotate qk3x7mwpza --overlap 1h
    """
    shown = KeyFile(file).rotate(key_id, _now(), overlap)
    typer.echo(str(shown))
    until = f"until {_shown(_now() + overlap)} UTC" if overlap else "no longer"
    typer.echo(f"The old secret of {key_id} passes {until}.", err=True)


@app.command()
def revoke(key_id: Id, file: KeysFile) -> None:
    """Withdraw a key: within seconds no gateway that reads the file takes it.

    stopbank keys revoke qk3x7mwpza
    """
    KeyFile(file).revoke(key_id)
    typer.echo(f"the key {key_id} is no more")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _shown(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment is not None else ""


def _limits(key: ApiKey) -> str:
    rate = f"{key.rate_per_s}/s" if key.rate_per_s is not None else ""
    at_once = f"{key.max_in_flight} at once" if key.max_in_flight is not None else ""
    return ", ".join(filter(None, (rate, at_once))) or "the gateway's"


def _state(key: ApiKey, now: datetime) -> str:
    if key.is_expired(now):
        return "expired"
    if key.previous is not None and now < key.previous.until:
        return f"old secret until {_shown(key.previous.until)}"
    return ""
