"""A server process: started with its log in a file, waited for, and ended by its own pid."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from streams.broker.broker import HOST, BrokerError

_START_WAIT_S: Final = 60.0
_STOP_WAIT_S: Final = 30.0
_POLL_S: Final = 0.05
_TAIL_LINES: Final = 30

# A metadata request of version 1 that names no topic: api key 3, correlation id 1, client id "probe".
_REQUEST: Final = struct.pack(">hhih5si", 3, 1, 1, 5, b"probe", 0)
_ANSWER: Final = struct.Struct(">iii")


class ServerProcess:
    """One broker process. What it says goes to the end of `log`."""

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def launch(self) -> None:
        """Start the process without waiting for it. Does nothing where it runs already."""
        if self.pid is not None:
            return
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for those who use the broker, and they stop it.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, brokers: int = 1) -> None:
        """Wait until it names that many live brokers. Raises BrokerError with the log's end."""
        deadline = time.monotonic() + _START_WAIT_S
        while live_brokers(self.port) < brokers:
            if self._process is None or self._process.poll() is not None:
                code = None if self._process is None else self._process.returncode
                raise BrokerError(f"{self.name} ended with code {code} at its start\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerError(f"{self.name} gave no answer in {_START_WAIT_S:.0f} s\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def signal_stop(self) -> None:
        """Ask it to end, without waiting."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Ask it to end and wait; end it at once where it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self) -> str:
        """The end of what it said."""
        if not self._log.exists():
            return "(no log)"
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]) or "(an empty log)"


def live_brokers(port: int) -> int:
    """How many brokers the one at this port knows to be alive; 0 where it gives no answer."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
            answer = _read(connection, _ANSWER.size)
    except OSError:
        return 0
    if len(answer) < _ANSWER.size:
        return 0
    _, _, brokers = _ANSWER.unpack(answer)
    return int(brokers)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return data
