"""What the demo runs on: an embedded broker, topics, rules, workers and a gateway, all gone when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self

import aiohttp

from rules.language.compile import CompiledRuleset
from streams.broker.broker import HOST, free_port
from streams.broker.embedded import CLIENT_ENV, EmbeddedBroker
from streams.clients import admin_client
from streams.errors import PlainError
from streams.gateway.api_key import KeyScope
from streams.gateway.key_file import KeyFile, new_key
from streams.rulesets import publish
from streams.settings import KAFKA_PREFIX, STOPBANK_PREFIX, Settings, read_settings
from streams.topics import create_topics

_STOP_WAIT_S: Final = 20.0
# Each partition costs the embedded broker something at every fetch.
_LEAST_PARTITIONS: Final = 2
_TAIL_CHARS: Final = 2_000
_READY_WAIT_S: Final = 60.0
_READY_POLL_S: Final = 0.1


class DemoError(PlainError):
    """The demo could not go on; the message says why."""


@dataclass
class Part:
    """A process on the stage; `port` is that of its probes."""

    name: str
    process: subprocess.Popen[bytes]
    port: int


class Stage(AbstractContextManager["Stage"]):
    """Starts the broker, the workers and a gateway, and stops them whatever happens."""

    def __init__(self, workers: int) -> None:
        self._wanted = workers
        self._stack = ExitStack()
        self._env: dict[str, str] = {}
        self.parts: list[Part] = []
        self.settings: Settings
        self.logs: Path
        # Where the gateway is, and the key that it knows.
        self.url: str
        self.key: str

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            broker = stack.enter_context(EmbeddedBroker())
            self.logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stopbank-demo-")))
            self._env = stage_env(os.environ, broker.bootstrap_servers)
            self.settings = read_settings(self._env)
            stack.callback(self.stop_parts)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def prepare(self, rules: str, filename: str) -> CompiledRuleset:
        """Create the topics and put the rules into force."""
        async with admin_client(self.settings) as admin:
            await create_topics(admin, self.settings.topic_prefix, max(_LEAST_PARTITIONS, self._wanted))
        return await publish(self.settings, rules, filename, "demo")

    def start_parts(self) -> None:
        """Start the workers and the gateway; each writes its own log."""
        for number in range(1, self._wanted + 1):
            self._start(f"worker {number}", "worker")
        made, shown = new_key([KeyScope.DECIDE, KeyScope.ADMIN], datetime.now(UTC), "demo")
        keys = self.logs / "keys.yaml"
        KeyFile(keys).create(made)
        port = free_port()
        self.url, self.key = f"http://{HOST}:{port}", str(shown)
        self._start(
            "gateway",
            "gateway",
            {
                "STOPBANK_GATEWAY_HOST": HOST,
                "STOPBANK_GATEWAY_PORT": str(port),
                "STOPBANK_GATEWAY_KEYS_FILE": str(keys),
            },
        )

    def _start(self, name: str, command: str, env: Mapping[str, str] | None = None) -> None:
        port = free_port()
        with (self.logs / f"{name.replace(' ', '-')}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", command],
                env={**self._env, **(env or {}), "STOPBANK_HTTP_PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo, which then stops them in order.
                start_new_session=True,
            )
        self.parts.append(Part(name, process, port))

    async def wait_ready(self) -> None:
        """Wait until every worker decides and the gateway answers. Raises DemoError where one ends, or is too slow."""
        deadline_s = time.monotonic() + _READY_WAIT_S
        async with aiohttp.ClientSession() as session:
            for part in self.parts:
                while not await _is_ready(session, f"http://{HOST}:{part.port}/readyz"):
                    self.verify_parts()
                    if time.monotonic() > deadline_s:
                        raise DemoError(f"{part.name} took too long to begin\n{self.log_tails()}")
                    await asyncio.sleep(_READY_POLL_S)

    def verify_parts(self) -> None:
        """Raises DemoError with the end of the logs where a process has ended."""
        for part in self.parts:
            if part.process.poll() is not None:
                raise DemoError(f"{part.name} ended with code {part.process.returncode}\n{self.log_tails()}")

    def log_tails(self) -> str:
        """The end of every process's log."""
        return "\n".join(
            f"{path.name}:\n{path.read_text(errors='replace')[-_TAIL_CHARS:]}"
            for path in sorted(self.logs.glob("*.log"))
        )

    def stop_parts(self) -> None:
        """Terminate the processes and wait; what does not end in time, or at a second Ctrl-C, is killed."""
        processes = [part.process for part in self.parts]
        self.parts = []
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        try:
            for process in processes:
                process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process in processes:
                process.kill()
                process.wait()


async def _is_ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(address, timeout=aiohttp.ClientTimeout(total=1)) as answer:
            return answer.status == HTTPStatus.OK
    except (aiohttp.ClientError, TimeoutError):
        return False


def stage_env(env: Mapping[str, str], bootstrap_servers: str) -> dict[str, str]:
    """The environment of the demo's processes: none of the settings that are meant for another broker."""
    others = {name: value for name, value in env.items() if not name.startswith((KAFKA_PREFIX, STOPBANK_PREFIX))}
    return {
        **others,
        **CLIENT_ENV,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "STOPBANK_HTTP_HOST": HOST,
        # A join waits for half the session there.
        "STOPBANK_SESSION_TIMEOUT_S": "6",
    }
