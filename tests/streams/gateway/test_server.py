"""The gateway behind the server that it runs on, asked over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiohttp import ClientSession
from yarl import URL

from streams.gateway.api_key import KeyScope, ShownKey
from streams.gateway.app import make_app
from streams.gateway.config import EdgeConfig
from streams.gateway.key_file import KeyFile
from streams.gateway.keys import FileKeys
from tests.streams.gateway.conftest import RULES, key, purchase
from tests.streams.gateway.memory import Measured, MemoryBackend

DECISIONS = "/v1/decisions"


class Serving:
    """A server with one key, which its file holds."""

    def __init__(self, path: Path) -> None:
        entry, self.shown = key()
        self.path = path
        KeyFile(path).create(entry)
        config = EdgeConfig(max_body_bytes=10_000, read_keys_every_s=0.01)
        self.measured = Measured()
        app = make_app(MemoryBackend(RULES), FileKeys(path), config, self.measured)
        self.server = uvicorn.Server(
            uvicorn.Config(app, port=0, http="httptools", lifespan="on", log_config=None, access_log=False)
        )

    @property
    def port(self) -> int:
        return self.server.servers[0].sockets[0].getsockname()[1]

    def session(self, shown: ShownKey | None = None) -> ClientSession:
        return ClientSession(
            f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {shown or self.shown}"}
        )


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    served = Serving(tmp_path / "keys.yaml")
    running = asyncio.create_task(served.server.serve())
    for _ in range(1_000):
        if served.server.started:
            break
        await asyncio.sleep(0.01)
    yield served
    served.server.should_exit = True
    await running


async def test_a_purchase_is_decided_and_looked_up(serving: Serving) -> None:
    async with serving.session() as session:
        async with session.post(DECISIONS, json=purchase(transaction_id="a/b-ü")) as told:
            assert (told.status, told.headers["Content-Type"]) == (200, "application/json")
            text = await told.read()
        path = URL(DECISIONS + "/a%2Fb-%C3%BC", encoded=True)
        async with session.get(path) as told:
            assert (told.status, await told.read()) == (200, text)
        async with session.head(path) as told:
            assert (told.status, await told.read()) == (200, b"")
            assert int(told.headers["Content-Length"]) == len(text)
    assert [status for _, status in serving.measured.requests] == [200] * 3


async def test_a_body_without_end_is_refused_while_it_is_sent(serving: Serving) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            yield b" " * 1_000
            sent += 1_000
            await asyncio.sleep(0)

    async with serving.session() as session:
        headers = {"Content-Type": "application/json"}
        async with session.post(DECISIONS, data=endless(), headers=headers) as told:
            problem: Any = await told.json(content_type="application/problem+json")
            assert (told.status, problem["title"]) == (413, "The body is too large")
            assert told.headers["Connection"] == "close"
    assert sent < 10_000_000


async def test_a_refused_request_does_not_spoil_the_next_on_its_connection(serving: Serving) -> None:
    async with serving.session() as session:
        for _ in range(3):
            async with session.post(DECISIONS, data=b"{" * 5_000, headers={"Content-Type": "text/plain"}) as told:
                assert told.status == 415
            async with session.post(DECISIONS, json=purchase(), headers={"Authorization": "no"}) as told:
                assert told.status == 401
            async with session.get("/v1/status") as told:
                assert told.status == 200


async def test_a_key_is_withdrawn_while_the_server_runs(serving: Serving) -> None:
    other, shown = key(KeyScope.ADMIN)
    KeyFile(serving.path).create(other)
    async with serving.session() as mine, serving.session(shown) as theirs:
        assert await answered(theirs, 200)
        KeyFile(serving.path).revoke(serving.shown.id)
        assert await answered(mine, 401)


async def answered(session: ClientSession, status: int) -> bool:
    """Whether the answer becomes this one."""
    for _ in range(1_000):
        async with session.get("/v1/status") as told:
            if told.status == status:
                return True
        await asyncio.sleep(0.01)
    return False
