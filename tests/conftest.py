"""Brokers and chaos seeds for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from streams.broker.broker import BrokerError
from streams.broker.choice import BrokerChoice, BrokerKind, choose_broker, running_broker
from streams.broker.embedded import CLIENT_ENV, EmbeddedBroker, why_no_embedded

CHAOS_SEED_BASE = 101
CHAOS_SEEDS_DEFAULT = 2
LEFT_OUT = "needs a real Apache Kafka"

_CHOICE = pytest.StashKey[BrokerChoice]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos-seeds",
        type=int,
        default=int(os.environ.get("STOPBANK_CHAOS_SEEDS", CHAOS_SEEDS_DEFAULT)),
        metavar="N",
        help="how many seeds each chaos test runs with (STOPBANK_CHAOS_SEEDS)",
    )
    parser.addoption(
        "--chaos-seed-base",
        type=int,
        default=CHAOS_SEED_BASE,
        metavar="SEED",
        help="the first of those seeds",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell that runs the tests in the background ignores Ctrl-C for them, and they would for what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        choice = config.stash[_CHOICE] = choose_broker(os.environ)
    except BrokerError as error:
        raise pytest.UsageError(str(error)) from None
    if choice.kind is BrokerKind.EMBEDDED:
        # Workers and commands that tests start inherit what this broker needs.
        os.environ.update(CLIENT_ENV)


def pytest_report_header(config: pytest.Config) -> list[str]:
    seeds = _chaos_seeds(config)
    return [
        f"broker: {config.stash[_CHOICE]}",
        f"chaos seeds: {seeds[0]} to {seeds[-1]}" if seeds else "chaos seeds: none",
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chaos_seed" in metafunc.fixturenames:
        metafunc.parametrize("chaos_seed", _chaos_seeds(metafunc.config), ids=lambda seed: f"seed-{seed}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    choice = config.stash[_CHOICE]
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        if "chaos_seed" in fixtures:
            item.add_marker(pytest.mark.chaos)
        if "kafka" in fixtures or "embedded" in fixtures:
            item.add_marker(pytest.mark.broker)
        if choice.kind is BrokerKind.EMBEDDED and item.get_closest_marker("needs_kafka"):
            item.add_marker(pytest.mark.skip(reason=f"{LEFT_OUT}; here is {choice}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    left_out = [report.nodeid for report in skipped if LEFT_OUT in str(report.longrepr)]
    if left_out:
        terminalreporter.section(f"{len(left_out)} left out: {LEFT_OUT}")
        for nodeid in left_out:
            terminalreporter.line(nodeid)


@pytest.fixture(scope="session")
def broker_choice(request: pytest.FixtureRequest) -> BrokerChoice:
    """Which broker the session runs on, and why."""
    return request.config.stash[_CHOICE]


@pytest.fixture(scope="session")
def kafka(broker_choice: BrokerChoice) -> Iterator[str]:
    """The bootstrap servers of the session's broker: a real Kafka wherever one can run."""
    with running_broker(broker_choice) as bootstrap_servers:
        yield bootstrap_servers


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """The bootstrap servers of an embedded broker, whatever else there is."""
    obstacle = why_no_embedded()
    if obstacle is not None:
        pytest.skip(obstacle)
    with EmbeddedBroker() as broker:
        yield broker.bootstrap_servers


def _chaos_seeds(config: pytest.Config) -> list[int]:
    options: Any = config.option
    return list(range(options.chaos_seed_base, options.chaos_seed_base + options.chaos_seeds))
