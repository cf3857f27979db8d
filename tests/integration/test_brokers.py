"""The brokers that Stopbank starts: they answer, they end, and a Kafka keeps what it acknowledged."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker.broker import BrokerError
from streams.broker.choice import BrokerKind, choose_broker, running_broker
from streams.broker.embedded import PRODUCER_OPTIONS, EmbeddedBroker
from streams.broker.kafka import KafkaBroker
from streams.broker.kafka_jars import why_no_kafka
from streams.broker.process import ServerProcess, live_brokers
from tests.integration.cluster import create_topics, read_topic

needs_java = pytest.mark.skipif(why_no_kafka() is not None, reason=f"no real Apache Kafka: {why_no_kafka()}")


async def write(bootstrap_servers: str, options: Mapping[str, Any], values: list[bytes]) -> None:
    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", **options)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait("letters", value)
    finally:
        await producer.stop()


async def create_copied(bootstrap_servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("letters", 1, 3)])
    finally:
        await admin.close()


async def values_of(bootstrap_servers: str) -> list[bytes]:
    return [record.value for record in await read_topic(bootstrap_servers, "letters")]


async def test_the_embedded_broker_gives_back_what_was_written(embedded: str) -> None:
    await create_topics(embedded, {"letters": 1})
    await write(embedded, PRODUCER_OPTIONS, [b"a", b"b"])
    assert await values_of(embedded) == [b"a", b"b"]


async def test_the_embedded_broker_refuses_idempotent_producers() -> None:
    """The day it takes them, the options for its clients can go."""
    with EmbeddedBroker() as broker:
        await create_topics(broker.bootstrap_servers, {"letters": 1})
        with pytest.raises(Exception, match="UnknownError"):
            await write(broker.bootstrap_servers, {"enable_idempotence": True}, [b"a"])


def test_a_broker_comes_back_at_its_address_and_is_gone_after_its_context() -> None:
    with EmbeddedBroker() as broker:
        address = broker.bootstrap_servers
        port = int(address.rpartition(":")[2])
        broker.kill()
        assert live_brokers(port) == 0
        broker.start()
        assert live_brokers(port) == 1
        assert broker.bootstrap_servers == address
    assert live_brokers(port) == 0


@needs_java
@pytest.mark.timeout(180)
async def test_a_kafka_keeps_what_it_acknowledged_over_a_restart_and_a_kill() -> None:
    with KafkaBroker() as broker:
        address = broker.bootstrap_servers
        await create_topics(address, {"letters": 1})
        await write(address, {"enable_idempotence": True}, [b"a", b"b"])
        await asyncio.to_thread(broker.restart)
        assert await values_of(address) == [b"a", b"b"]
        broker.kill()
        await asyncio.to_thread(broker.start)
        assert await values_of(address) == [b"a", b"b"]
        assert broker.bootstrap_servers == address
    assert live_brokers(int(address.rpartition(":")[2])) == 0


@needs_java
@pytest.mark.timeout(240)
async def test_three_nodes_take_records_while_one_of_them_is_dead() -> None:
    with KafkaBroker(nodes=3) as broker:
        assert [live_brokers(int(a.rpartition(":")[2])) for a in broker.bootstrap_servers.split(",")] == [
            3,
            3,
            3,
        ]
        await create_copied(broker.bootstrap_servers)
        await write(broker.bootstrap_servers, {}, [b"a"])
        broker.nodes[2].process.kill()
        await write(broker.bootstrap_servers, {}, [b"b"])
        assert await values_of(broker.bootstrap_servers) == [b"a", b"b"]


def test_a_server_that_can_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    server = ServerProcess("the server", ["/bin/sh", "-c", "echo no such setting; exit 3"], 1, tmp_path / "log")
    server.launch()
    with pytest.raises(BrokerError, match=r"(?s)the server ended with code 3.*no such setting"):
        server.wait_until_ready()


def test_a_named_broker_is_used_as_it_is() -> None:
    choice = choose_broker({"KAFKA_BOOTSTRAP_SERVERS": "somewhere:9092"})
    assert choice.kind is BrokerKind.NAMED
    assert "KAFKA_BOOTSTRAP_SERVERS is somewhere:9092" in str(choice)
    with running_broker(choice) as bootstrap_servers:
        assert bootstrap_servers == "somewhere:9092"


def test_what_is_forced_wins_over_a_named_broker() -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": "somewhere:9092", "STOPBANK_TEST_BROKER": "embedded"}
    assert choose_broker(env).kind is BrokerKind.EMBEDDED


def test_a_forced_broker_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BrokerError, match="may be kafka, embedded or auto"):
        choose_broker({"STOPBANK_TEST_BROKER": "rabbit"})


def test_without_java_the_embedded_broker_is_chosen_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    choice = choose_broker({})
    assert choice.kind is BrokerKind.EMBEDDED
    assert "there is no Java on the path" in choice.reason


def test_a_forced_kafka_without_java_is_an_error_and_no_silent_fallback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match="there is no Java on the path"):
        choose_broker({"STOPBANK_TEST_BROKER": "kafka"})


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2"])
def test_an_old_java_is_not_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert "is too old, Kafka needs 17" in choose_broker({}).reason
