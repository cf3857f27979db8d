"""What the demo runs on: an embedded broker, topics, rules and worker processes, all gone when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final, Self

from streams.broker.embedded import CLIENT_ENV, EmbeddedBroker
from streams.clients import admin_client
from streams.rulesets import publish
from streams.settings import KafkaSettings, Settings
from streams.topics import create_topics

_STOP_WAIT_S: Final = 20.0
_PARTITIONS: Final = 4


class DemoError(RuntimeError):
    """The demo could not go on; the message says why."""


class Stage(AbstractContextManager["Stage"]):
    """Starts the broker and the workers, and stops them whatever happens."""

    def __init__(self, workers: int) -> None:
        self._wanted = workers
        self._stack = ExitStack()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.settings: Settings
        self.logs: Path

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            broker = stack.enter_context(EmbeddedBroker())
            self.logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stopbank-demo-")))
            self.settings = Settings(
                kafka=KafkaSettings(bootstrap_servers=broker.bootstrap_servers),
                idempotent=False,
                fetch_wait_ms=5,
                linger_ms=5,
            )
            stack.callback(self.stop_workers)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def prepare(self, rules: str) -> str:
        """Create the topics and put the rules into force; returns their version."""
        async with admin_client(self.settings) as admin:
            await create_topics(admin, self.settings.topic_prefix, _PARTITIONS)
        compiled = await publish(self.settings, rules, "demo rules", "demo")
        return compiled.version

    def start_workers(self) -> None:
        """Start the worker processes; each writes its own log."""
        env = {
            **os.environ,
            **CLIENT_ENV,
            "KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers,
            "STOPBANK_HTTP_PORT": "0",
            # A join waits for half the session there.
            "STOPBANK_SESSION_TIMEOUT_S": "6",
        }
        for number in range(1, self._wanted + 1):
            with (self.logs / f"worker-{number}.log").open("wb") as log:
                self.workers.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "streams.cli", "worker"],
                        env=env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        # Ctrl-C is for the demo, which then stops them in order.
                        start_new_session=True,
                    )
                )

    def verify_workers(self) -> None:
        """Raises DemoError with the end of its log where a worker has ended."""
        for number, worker in enumerate(self.workers, 1):
            if worker.poll() is not None:
                tail = (self.logs / f"worker-{number}.log").read_text(errors="replace")[-2_000:]
                raise DemoError(f"worker {number} ended with code {worker.returncode}:\n{tail}")

    def stop_workers(self) -> None:
        """Terminate the workers and wait; what does not end in time is killed."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                worker.wait(_STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.workers.clear()
