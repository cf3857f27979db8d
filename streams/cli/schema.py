"""`stopbank schema`."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from models.schema import json_schemas


def schema(
    name: Annotated[str | None, typer.Argument(help="One of them; all by default.")] = None,
) -> None:
    """Print the records on Kafka and the rule file as JSON Schema (draft 2020-12)."""
    schemas = json_schemas()
    if name is not None and name not in schemas:
        typer.echo(f"stopbank: no schema {name!r}: one of {', '.join(schemas)}", err=True)
        raise typer.Exit(2)
    chosen = schemas if name is None else schemas[name]
    typer.echo(orjson.dumps(chosen, option=orjson.OPT_INDENT_2).decode())
