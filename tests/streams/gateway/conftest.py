"""A gateway over the line in memory, its keys, and what came of a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from rules.language.compile import compile_ruleset
from streams.gateway.api_key import ApiKey, KeyScope, ShownKey
from streams.gateway.app import make_app
from streams.gateway.backend import Backend
from streams.gateway.config import EdgeConfig
from streams.gateway.key_file import new_key
from streams.gateway.keys import ApiKeys
from streams.gateway.now import now_ms
from tests.models.records import PURCHASE
from tests.streams.gateway.memory import Measured, MemoryBackend, Told, call

RULES = compile_ruleset("""
ruleset: checkout
currency: CNY
rates: {USD: 7}
max_rows: 32
rules:
  - {id: large, when: amount >= 500, then: flag}
  - {id: burst, when: "count(account_id, 10m) > 2", then: block}
""")


@dataclass
class Gateway:
    """One gateway, and a key with every scope that asks it unless another is given."""

    backend: Backend = field(default_factory=lambda: MemoryBackend(RULES))
    config: EdgeConfig = field(default_factory=EdgeConfig)
    keys: list[ApiKey] = field(default_factory=list[ApiKey])
    measured: Measured = field(default_factory=Measured)

    def __post_init__(self) -> None:
        entry, self.shown = new_key(list(KeyScope), datetime.now(UTC))
        self.api_keys = ApiKeys([entry, *self.keys])
        self.app = make_app(self.backend, self.api_keys, self.config, self.measured)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = b"",
        key: ShownKey | None = None,
        query: bytes = b"",
        **headers: Any,
    ) -> Told:
        """A request; headers, texts by their names with _ for -, None for one that is left out."""
        wanted: dict[str, str | None] = {"authorization": f"Bearer {key or self.shown}"}
        if method == "POST":
            wanted["content-type"] = "application/json"
        wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent: Any = orjson.dumps(body) if isinstance(body, dict) else body
        given = [(name, value) for name, value in wanted.items() if value is not None]
        return await call(self.app, method, path, sent, given, query)

    async def decide(self, **changes: object) -> Told:
        """The decision on a purchase of now."""
        return await self.ask("POST", "/v1/decisions", purchase(**changes))


def purchase(**changes: object) -> dict[str, Any]:
    """A purchase of now."""
    return {**PURCHASE, "event_time": now_ms(), **changes}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def key(*scopes: KeyScope, **fields: Any) -> tuple[ApiKey, ShownKey]:
    """A key with these scopes, all by default, and fields of its entry."""
    entry, shown = new_key(list(scopes or KeyScope), datetime.now(UTC))
    return entry.model_copy(update=fields), shown
