"""What comes before a request's body, over a socket: whoever is too slow is told so, and who sent nothing is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.responses import Response

from streams.gateway import http_protocol
from streams.gateway.http_protocol import BoundedHttpProtocol


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.1)
    config = uvicorn.Config(
        Response("ok"), port=0, http=BoundedHttpProtocol, lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    for _ in range(1_000):
        if server.started:
            break
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def heard(port: int, sent: bytes) -> bytes:
    """All that comes until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return said


async def test_a_connection_that_was_opened_in_advance_is_closed_without_a_word(port: int) -> None:
    assert await heard(port, b"") == b""


REQUEST = b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n"


@pytest.mark.parametrize(("sent", "statuses"), [(b"GET / HT", [b"400"]), (REQUEST + b"GET / HT", [b"200", b"400"])])
async def test_whoever_does_not_finish_their_headers_is_told(port: int, sent: bytes, statuses: list[bytes]) -> None:
    said = await heard(port, sent)
    assert [answer.split()[0] for answer in said.split(b"HTTP/1.1")[1:]] == statuses
