"""One node of a Kafka: its ports, its folder and its process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streams.broker.broker import HOST, BrokerError, free_port
from streams.broker.process import ServerProcess

# While the collector works nobody is answered, some 5 ms a time. With this much room for what lives for a moment that
# is every two or three seconds at hundreds of requests a second; with a quarter of it four times as often, and each
# time one purchase in a hundred waits.
_JVM: Final = ("-Xms768m", "-Xmx768m", "-Xmn384m", "-XX:+UseParallelGC")
_LOG_LEVEL: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
_FORMAT_WAIT_S: Final = 60.0
_TAIL_CHARS: Final = 3_000


class KafkaNode:
    """A node, broker and controller in one. It may be killed and started apart from the others."""

    def __init__(self, number: int, folder: Path, libs: Path) -> None:
        self._number = number
        self._folder = folder / f"node-{number}"
        self._properties = self._folder / "server.properties"
        self._java = (shutil.which("java") or "java", "-cp", f"{libs}/*")
        self._port = free_port()
        self._controller_port = free_port()
        self.process = ServerProcess(
            f"Kafka node {number}",
            [*self._java, *_JVM, _LOG_LEVEL, "kafka.Kafka", str(self._properties)],
            self._port,
            self._folder / "node.log",
        )

    @property
    def address(self) -> str:
        """Where clients reach it."""
        return f"{HOST}:{self._port}"

    @property
    def voter(self) -> str:
        """How the quorum of controllers names it."""
        return f"{self._number}@{HOST}:{self._controller_port}"

    def format(self, cluster_id: str, settings: Mapping[str, str]) -> None:
        """Write its properties and format its storage. Raises BrokerError."""
        self._folder.mkdir(parents=True)
        lines = [f"{name}={value}\n" for name, value in {**settings, **self._addresses()}.items()]
        self._properties.write_text("".join(lines))
        # With an equals sign: an id may begin with a dash.
        tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(self._properties))
        try:
            told = subprocess.run(
                [*self._java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", _LOG_LEVEL, *tool],
                capture_output=True,
                text=True,
                check=False,
                timeout=_FORMAT_WAIT_S,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BrokerError(f"Kafka's storage can't be formatted: {error}") from None
        if told.returncode:
            raise BrokerError(f"Kafka's storage can't be formatted:\n{(told.stdout + told.stderr)[-_TAIL_CHARS:]}")

    def _addresses(self) -> dict[str, str]:
        return {
            "node.id": str(self._number),
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
        }
