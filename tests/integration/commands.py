"""`stopbank` as a process of its own, against the session's broker, under a topic prefix of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from streams.broker.broker import HOST
from streams.broker.embedded import CLIENT_ENV

PROJECT = Path(__file__).resolve().parents[2]
RULES = PROJECT / "examples" / "rules"
_WAIT_S = 60.0


@dataclass
class Stopbank:
    """Runs commands with the settings for one broker and prefix."""

    bootstrap_servers: str
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    prefix: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:8]}.")

    @property
    def env(self) -> dict[str, str]:
        """The environment of the commands: this broker's settings and no others."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "STOPBANK_"))}
        return {
            **clean,
            # What the embedded broker needs is set for the whole session.
            **{name: os.environ[name] for name in CLIENT_ENV if name in os.environ},
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "STOPBANK_TOPIC_PREFIX": self.prefix,
            "COLUMNS": "200",
            **self.extra,
        }

    def run(self, *arguments: object, timeout_s: float = _WAIT_S) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._command(arguments),
            env=self.env,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def done(self, *arguments: object) -> str:
        """Run a command that must succeed; returns what it says."""
        ran = self.run(*arguments)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def refused(self, *arguments: object, code: int = 2) -> str:
        """Run a command that must be refused with one plain error; returns that."""
        ran = self.run(*arguments)
        assert ran.returncode == code, f"{arguments}: {ran.stdout}{ran.stderr}"
        assert ran.stderr.startswith("stopbank: "), ran.stderr
        assert "Traceback" not in ran.stderr
        return ran.stderr

    def start(self, *arguments: object, log: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        """Start a command and go on; what it says goes into `log`, else into pipes."""
        return subprocess.Popen(
            self._command(arguments),
            env=self.env,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log or subprocess.PIPE,
            stderr=log or subprocess.PIPE,
        )

    @staticmethod
    def _command(arguments: tuple[object, ...]) -> list[str]:
        return [sys.executable, "-m", "streams.cli", *map(str, arguments)]


def fetched(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page of a worker; status 0 where nobody answers yet."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_until(holds: Callable[[], bool], what: str, process: subprocess.Popen[Any] | None = None) -> None:
    """Ask again until it holds. Fails after a minute, or where the process ends first."""
    deadline = time.monotonic() + _WAIT_S
    while not holds():
        assert process is None or process.poll() is None, f"ended with {process.returncode} before {what}"
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
