"""`stopbank settings`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr
from rich.console import Console
from rich.table import Table

from streams.gateway.settings import GATEWAY_PREFIX, read_gateway_settings
from streams.settings import KAFKA_PREFIX, STOPBANK_PREFIX, read_settings


def settings() -> None:
    """List the environment variables that are read: what each means and what it is now.

    An empty variable counts as unset. Passwords are not shown. A TLS listener with passwords, for example:

        export KAFKA_BOOTSTRAP_SERVERS=kafka-1:9093,kafka-2:9093
        export KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=SCRAM-SHA-512
        export KAFKA_SASL_USERNAME=stopbank KAFKA_SASL_PASSWORD=...
        export KAFKA_SSL_CAFILE=/etc/kafka/ca.pem
    """
    found, gateway = read_settings(), read_gateway_settings()
    table = Table("variable", "now", "meaning", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for prefix, values in ((KAFKA_PREFIX, found.kafka), (STOPBANK_PREFIX, found), (GATEWAY_PREFIX, gateway)):
        _add(table, prefix, values, os.environ)
    Console(highlight=False).print(table)


def _add(table: Table, prefix: str, values: BaseModel, env: Mapping[str, str]) -> None:
    for name, field in type(values).model_fields.items():
        if name == "kafka":
            continue
        variable = prefix + name.upper()
        # What somebody has set stands out.
        style = "bold" if env.get(variable) else None
        table.add_row(variable, _shown(getattr(values, name)), field.description, style=style)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == "":
        return "-"
    return "(hidden)" if isinstance(value, SecretStr) else str(value)
