"""A real Apache Kafka in KRaft mode: one node, or several that replicate."""

from __future__ import annotations

import base64
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streams.broker.broker import Broker
from streams.broker.kafka_jars import kafka_jars
from streams.broker.kafka_node import KafkaNode

# What Stopbank asks of a broker, beside addresses and copies; the compose file sets the same.
SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # A worker that joins begins at once, and tests may use short sessions.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
}
_MOST_COPIES: Final = 3


def copies(nodes: int) -> dict[str, str]:
    """The settings for how often a record is kept: once on a single node, three times on three or more."""
    replicas = min(nodes, _MOST_COPIES)
    in_sync = max(1, replicas - 1)
    return {
        "default.replication.factor": str(replicas),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "transaction.state.log.min.isr": str(in_sync),
    }


class KafkaBroker(Broker):
    """Apache Kafka on free ports, its data in a temporary folder until it is closed.

    `start` and `stop` take seconds and block: in a coroutine, call them through `asyncio.to_thread`.
    A node may be killed and started apart from the others: `broker.nodes[1].process.kill()`.
    """

    def __init__(self, nodes: int = 1, settings: Mapping[str, str] | None = None) -> None:
        self._libs = kafka_jars()
        self._folder = Path(tempfile.mkdtemp(prefix="stopbank-kafka-"))
        self._settings = {**SETTINGS, **copies(nodes), **(settings or {})}
        self._formatted = False
        self.nodes = [KafkaNode(number, self._folder, self._libs) for number in range(1, nodes + 1)]

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all nodes."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        """Start every node that does not run, and wait until each knows of all."""
        if not self._formatted:
            self._format()
        for node in self.nodes:
            node.process.launch()
        for node in self.nodes:
            node.process.wait_until_ready(len(self.nodes))

    def stop(self) -> None:
        """Shut all nodes down in order; the data stays."""
        for node in self.nodes:
            node.process.signal_stop()
        for node in self.nodes:
            node.process.stop()

    def kill(self) -> None:
        """End all nodes at once; what they wrote stays."""
        for node in self.nodes:
            node.process.kill()

    def close(self) -> None:
        """End all nodes and remove their data: with the data gone, nothing is gained by an orderly end."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._formatted = False

    def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        voters = ",".join(node.voter for node in self.nodes)
        for node in self.nodes:
            node.format(cluster_id, {**self._settings, "controller.quorum.voters": voters})
        self._formatted = True
