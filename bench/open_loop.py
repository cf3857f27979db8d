"""An open-loop HTTP load generator: requests leave on a schedule, whether or not earlier ones were answered.

Arrivals are Poisson at a fixed rate, drawn from a seed before anything is sent. Latency counts from when a request
was due, not from when it was written: a server that stalls, or a generator that does, makes every request late that
was due meanwhile, and none is left out. It is a process of its own, so that its work is told from that of what it
measures: `python -m bench.open_loop LOAD.json REQUESTS.jsonl RESULT.json`.

Why no public tool: each request needs a body of its own, since a transaction that is sent twice is decided once, and
has to leave when it is due, not when an earlier one was answered.
"""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import orjson
from httptools import HttpResponseParser

# httptools is typed in part only.
# pyright: reportUnknownMemberType=false

_PATIENCE_S: Final = 10.0
_HEAD_START_S: Final = 0.2
# What select can watch; beyond it requests wait here, and their latency counts on.
_MOST_AT_ONCE: Final = 900

Address = tuple[str, int]


class Load(NamedTuple):
    """What is sent where: POST to `path` of each address in turn, `rate` requests a second on average."""

    addresses: list[Address]
    path: str
    headers: dict[str, str]
    rate: float
    seed: int


class Outcome(NamedTuple):
    """What became of one request. Status 0: no answer; `error` says why."""

    latency_ms: float
    generator_late_ms: float
    status: int
    degraded: str
    body: bytes
    error: str


def poisson_schedule(rate: float, count: int, seed: int) -> list[float]:
    """When each request is due, in seconds from the first one's beginning; a pure function of its arguments."""
    rng, at_s, due_s = random.Random(seed), 0.0, list[float]()
    for _ in range(count):
        at_s += rng.expovariate(rate)
        due_s.append(at_s)
    return due_s


def post(address: Address, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """One request's bytes."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


class _Connection(asyncio.Protocol):
    """One kept-alive connection: a request at a time, and idle in between."""

    def __init__(self, idle: list[_Connection]) -> None:
        self._idle = idle
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[tuple[int, str, bytes]] | None = None
        self._parser: Any = None
        self._degraded, self._body = "", b""

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, str, bytes]]:
        """Write a request; the future gets status, the header that says degraded, and body."""
        assert self._transport is not None
        self._parser, self._degraded, self._body = HttpResponseParser(self), "", b""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answered

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionResetError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"stopbank-degraded":
            self._degraded = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.should_keep_alive():
            self._idle.append(self)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result((self._parser.get_status_code(), self._degraded, self._body))


class OpenLoop:
    """Sends requests when they are due; connections are kept, and opened as more are needed at once."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._idle: dict[Address, list[_Connection]] = {address: [] for address in load.addresses}
        self._room = asyncio.Semaphore(_MOST_AT_ONCE)

    async def fire(self, bodies: Sequence[bytes]) -> list[Outcome]:
        """One outcome for each body, in their order."""
        load, addresses = self._load, list(self._idle)
        requests = [
            (address, post(address, load.path, load.headers, body))
            for number, body in enumerate(bodies)
            for address in [addresses[number % len(addresses)]]
        ]
        start_s = time.monotonic() + _HEAD_START_S
        asked: list[asyncio.Task[Outcome]] = []
        for (address, request), at_s in zip(requests, poisson_schedule(load.rate, len(bodies), load.seed), strict=True):
            ahead_s = start_s + at_s - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            asked.append(asyncio.create_task(self._ask(address, request, start_s + at_s)))
        outcomes = await asyncio.gather(*asked)
        for connection in [connection for idle in self._idle.values() for connection in idle]:
            connection.close()
        return outcomes

    async def _ask(self, address: Address, request: bytes, due_s: float) -> Outcome:
        late_ms = (time.monotonic() - due_s) * 1000
        idle, status, degraded, body, error = self._idle[address], 0, "", b"", ""
        connection: _Connection | None = None
        try:
            async with self._room, asyncio.timeout(_PATIENCE_S):
                connection = idle.pop() if idle else await _connect(address, idle)
                status, degraded, body = await connection.ask(request)
        except (OSError, TimeoutError) as caught:
            error = type(caught).__name__
            if connection is not None:
                connection.close()
        return Outcome((time.monotonic() - due_s) * 1000, late_ms, status, degraded, body, error)


async def _connect(address: Address, idle: list[_Connection]) -> _Connection:
    _, connection = await asyncio.get_running_loop().create_connection(lambda: _Connection(idle), *address)
    return connection


def precise_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers are exact to microseconds; those of epoll and of uvloop are a millisecond coarse."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def encode_outcomes(outcomes: Iterable[Outcome], cpu_us: float) -> bytes:
    """The result file: processor time for each request in microseconds, and the outcomes."""
    rows = [[*one._replace(body=b"")[:4], _action(one.body), one.error] for one in outcomes]
    return orjson.dumps({"cpu_us": cpu_us, "outcomes": rows})


def _action(body: bytes) -> str:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return str(cast(dict[str, object], answer).get("action", "")) if isinstance(answer, dict) else ""


def main(arguments: Sequence[str]) -> None:
    """Read the load and the bodies, send them, and write what became of them."""
    load_file, bodies_file, result_file = map(Path, arguments)
    load = Load(**orjson.loads(load_file.read_bytes()))
    load = load._replace(addresses=[(host, port) for host, port in load.addresses])
    bodies = bodies_file.read_bytes().splitlines()
    # A pause of its own would make requests late that the server answers in time.
    gc.disable()
    before_s = time.process_time()
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        outcomes = runner.run(OpenLoop(load).fire(bodies))
    cpu_us = (time.process_time() - before_s) / max(1, len(bodies)) * 1e6
    result_file.write_bytes(encode_outcomes(outcomes, cpu_us))


if __name__ == "__main__":
    main(sys.argv[1:])
