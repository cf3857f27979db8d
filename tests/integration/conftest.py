"""What tests of the whole line share: a broker that may be stopped, and measurements that are told at the end of the
session, whether the tests passed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from streams.broker.kafka import KafkaBroker
from streams.broker.kafka_jars import why_no_kafka

_TOLD = pytest.StashKey[list[str]]()

Tell = Callable[[str], None]


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Say a line in the session's summary."""
    told = request.config.stash.setdefault(_TOLD, [])
    name = request.node.name
    return lambda line: told.append(f"{name}: {line}")


@pytest.fixture(scope="module")
def own_broker() -> Iterator[KafkaBroker]:
    """A Kafka that may be stopped, for the tests of one file."""
    obstacle = why_no_kafka()
    if obstacle is not None:
        pytest.skip(obstacle)
    with KafkaBroker() as broker:
        yield broker


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    told = config.stash.get(_TOLD, list[str]())
    if told:
        terminalreporter.section("measured")
        for line in told:
            terminalreporter.line(line)
