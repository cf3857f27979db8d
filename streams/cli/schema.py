"""`stopbank schema`."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from models.schema import json_schemas
from rules.language.diagnostics import did_you_mean

_NAMES = ", ".join(json_schemas())


def schema(
    name: Annotated[str | None, typer.Argument(help=f"One of them: {_NAMES}. All by default.")] = None,
) -> None:
    """Print the records on Kafka and the rule file as JSON Schema (draft 2020-12).

    stopbank schema purchase > purchase.schema.json
    """
    schemas = json_schemas()
    if name is not None and name not in schemas:
        hint = did_you_mean(name, schemas)
        raise typer.BadParameter(f"no schema {name!r}: {hint + ' ' if hint else ''}It may be one of {_NAMES}")
    chosen = schemas if name is None else schemas[name]
    typer.echo(orjson.dumps(chosen, option=orjson.OPT_INDENT_2).decode())
