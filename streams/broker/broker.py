"""What every broker that Stopbank starts can do."""

from __future__ import annotations

import random
import socket
from abc import ABC, abstractmethod
from typing import Final, Self

from streams.errors import PlainError

HOST: Final = "127.0.0.1"
# Below the ports that systems give to outgoing connections, so that a broker finds its port free on its return.
_PORTS: Final = range(20_000, 32_000)
_PORT_TRIES: Final = 200


class BrokerError(PlainError):
    """A broker can't be had; the message says why."""


class Broker(ABC):
    """A broker on this machine: started on entering its context, stopped and forgotten on leaving it."""

    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """The addresses for clients; they stay the same over restarts."""

    @abstractmethod
    def start(self) -> None:
        """Start, and return once clients are answered. Raises BrokerError with the log's end."""

    @abstractmethod
    def stop(self) -> None:
        """Shut down in order. Does nothing where nothing runs."""

    @abstractmethod
    def kill(self) -> None:
        """End at once, as a crash would."""

    @abstractmethod
    def close(self) -> None:
        """Stop, and remove all data."""

    def restart(self) -> None:
        """Stop and start again, at the same addresses."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_port() -> int:
    """A port that nothing listens on. Raises BrokerError where none is found."""
    # Apart from the seeds of tests: two sessions that draw alike would draw the same ports.
    draw = random.SystemRandom()
    for _ in range(_PORT_TRIES):
        port = draw.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise BrokerError(f"no free port between {_PORTS.start} and {_PORTS.stop} on {HOST}")
