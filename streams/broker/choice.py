"""Which broker to use: the one that is named, a real Kafka where it can run, else the embedded one."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streams.broker.broker import Broker, BrokerError
from streams.broker.embedded import EmbeddedBroker, why_no_embedded
from streams.broker.kafka import KafkaBroker
from streams.broker.kafka_jars import java_version, kafka_version, why_no_kafka

BOOTSTRAP_VARIABLE: Final = "KAFKA_BOOTSTRAP_SERVERS"
FORCE_VARIABLE: Final = "STOPBANK_TEST_BROKER"


class BrokerKind(StrEnum):
    """The brokers there are to choose from."""

    NAMED = "named"
    KAFKA = "kafka"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class BrokerChoice:
    """A broker, and in words why this one. `bootstrap_servers` is known of a named broker only."""

    kind: BrokerKind
    reason: str
    bootstrap_servers: str | None = None

    def __str__(self) -> str:
        return f"{_TITLES[self.kind]}, because {self.reason}"


_TITLES: Final[Mapping[BrokerKind, str]] = {
    BrokerKind.NAMED: "the named broker",
    BrokerKind.KAFKA: "a real Apache Kafka",
    BrokerKind.EMBEDDED: "the embedded broker",
}


def choose_broker(env: Mapping[str, str]) -> BrokerChoice:
    """The broker for this environment. Raises BrokerError where the one that is asked for can't run."""
    forced = env.get(FORCE_VARIABLE, "").strip().lower() or "auto"
    if forced not in ("auto", BrokerKind.KAFKA, BrokerKind.EMBEDDED):
        raise BrokerError(f"{FORCE_VARIABLE} is {forced!r}; it may be kafka, embedded or auto")
    if forced == BrokerKind.KAFKA:
        return _forced(BrokerKind.KAFKA, why_no_kafka())
    if forced == BrokerKind.EMBEDDED:
        return _forced(BrokerKind.EMBEDDED, why_no_embedded())
    return _by_what_is_here(env.get(BOOTSTRAP_VARIABLE, "").strip())


@contextmanager
def running_broker(choice: BrokerChoice) -> Generator[str]:
    """The chosen broker while the context lasts; gives its bootstrap servers. Raises BrokerError."""
    if choice.bootstrap_servers is not None:
        yield choice.bootstrap_servers
        return
    broker: Broker = KafkaBroker() if choice.kind is BrokerKind.KAFKA else EmbeddedBroker()
    with broker:
        yield broker.bootstrap_servers


def _forced(kind: BrokerKind, obstacle: str | None) -> BrokerChoice:
    if obstacle is not None:
        raise BrokerError(f"{FORCE_VARIABLE}={kind} can't be met: {obstacle}")
    return BrokerChoice(kind, f"{FORCE_VARIABLE}={kind} asks for it")


def _by_what_is_here(named: str) -> BrokerChoice:
    if named:
        return BrokerChoice(BrokerKind.NAMED, f"{BOOTSTRAP_VARIABLE} is {named}", named)
    no_kafka = why_no_kafka()
    if no_kafka is None:
        return BrokerChoice(BrokerKind.KAFKA, f"Java {java_version()} runs Kafka {kafka_version()} here")
    no_embedded = why_no_embedded()
    if no_embedded is not None:
        raise BrokerError(f"no broker can run here: no Kafka, as {no_kafka}; and {no_embedded}")
    return BrokerChoice(BrokerKind.EMBEDDED, f"a real Kafka can't run here: {no_kafka}")
