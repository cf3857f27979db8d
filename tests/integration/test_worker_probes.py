"""A worker process as its operator sees it: probes, metrics that add up, logs that name nobody, a clean end."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.broker.broker import free_port
from streams.produce import read_lines
from tests.integration.commands import RULES, Stopbank, fetched, wait_until

# What no log line and no metric may hold.
ACCOUNT, CARD, DEVICE, IP, MERCHANT = "acct-4711-eve", "card-4929-1234", "device-cafe-77", "203.0.113.77", "shop-eve-9"
TRANSACTION = "txn-eve"
SECRETS = (ACCOUNT, CARD, DEVICE, IP, MERCHANT, TRANSACTION)
NORMAL, REPEATS = 40, 3
TELLING = ("action", "reason", "rule")
DAY_MS = 86_400_000
NOW_MS = int(time.time() * 1000)


def purchase(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"{TRANSACTION}-{number}",
        "account_id": f"{ACCOUNT}-{number % 4}",
        "card_id": CARD,
        "device_id": DEVICE,
        "ip": IP,
        "merchant_id": MERCHANT,
        "mcc": "5411",
        "amount": 12_345,
        "currency": "CNY",
        # One time for all: what a window holds then does not depend on which partition is faster.
        "event_time": NOW_MS,
        **changes,
    }


def lines() -> list[dict[str, Any]]:
    """Purchases of every fate; those of one account stay in this order."""
    normal = [purchase(number) for number in range(NORMAL)]
    return [
        *normal,
        *normal[:REPEATS],
        {**normal[3], "amount": 99},
        purchase(100, amount="much"),
        purchase(101, ip=f"{IP}.9"),
        purchase(102, event_time=NOW_MS + DAY_MS),
        purchase(103, currency="ISK"),
        purchase(104, event_time=NOW_MS - 2 * DAY_MS),
    ]


DEAD = {"conflict": 1, "malformed": 2, "future": 1, "no-rate": 1, "oversized": 0, "foreign": 0}
DECIDED = NORMAL + 1


@dataclass
class Worker:
    """A worker that runs, and what it says."""

    stopbank: Stopbank
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def metrics(self) -> dict[tuple[str, str], float]:
        """Samples by name and the value of the label that tells them apart, if there is one."""
        status, text = fetched(self.port, "/metrics")
        assert status == 200
        return {
            (sample.name, next((sample.labels[label] for label in TELLING if label in sample.labels), "")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def decided(worker: Worker) -> float:
    metrics = worker.metrics()
    return sum(metrics["stopbank_decisions_total", action] for action in ("approve", "flag", "block"))


@pytest.fixture(scope="module")
def worker(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker on topics of its own, without rules as yet."""
    folder = tmp_path_factory.mktemp("worker")
    port = free_port()
    extra = {"STOPBANK_HTTP_PORT": str(port), "STOPBANK_HTTP_HOST": "127.0.0.1", "STOPBANK_LOG_LEVEL": "DEBUG"}
    stopbank = Stopbank(kafka, extra)
    stopbank.done("topics", "create", "--partitions", 2)
    with (folder / "worker.log").open("wb") as log:
        process = stopbank.start("worker", log=log)
    try:
        yield Worker(stopbank, process, port, folder / "worker.log")
    finally:
        process.kill()
        process.wait()


def test_a_worker_is_alive_before_it_is_ready_and_says_why_it_is_not(worker: Worker) -> None:
    wait_until(lambda: fetched(worker.port, "/livez") == (200, "ok\n"), "the port", worker.process)
    seen: set[tuple[int, str]] = set()

    def waits_for_rules() -> bool:
        seen.add(fetched(worker.port, "/readyz"))
        return (503, "no ruleset 'checkout' is in force yet\n") in seen

    wait_until(waits_for_rules, "the reason", worker.process)
    # Before that, its partitions may have been on their way.
    assert {status for status, _ in seen} == {503}
    assert fetched(worker.port, "/elsewhere")[0] == 404


def test_it_is_ready_once_rules_are_published(worker: Worker) -> None:
    worker.stopbank.done("rules", "publish", RULES / "checkout.yaml")
    wait_until(lambda: fetched(worker.port, "/readyz") == (200, "ok\n"), "readiness", worker.process)
    metrics = worker.metrics()
    assert metrics["stopbank_ready", ""] == 1
    assert metrics["stopbank_recovery_seconds", ""] > 0
    assert worker.stopbank.run("doctor").returncode == 0


def test_a_second_worker_on_the_same_port_says_so(worker: Worker) -> None:
    told = worker.stopbank.refused("worker")
    assert f"STOPBANK_HTTP_PORT: port {worker.port} on 127.0.0.1 can't be listened on" in told


def test_metrics_equal_what_was_sent(worker: Worker, tmp_path: Path) -> None:
    path = tmp_path / "purchases.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines()))
    worker.stopbank.done("produce", path)

    def all_seen() -> bool:
        metrics = worker.metrics()
        dead = sum(metrics["stopbank_dead_letters_total", reason] for reason in DEAD)
        seen = decided(worker) + dead + metrics["stopbank_repeated_purchases_total", ""]
        return seen >= len(list(read_lines(path)))

    wait_until(all_seen, "every purchase", worker.process)
    metrics = worker.metrics()
    assert decided(worker) == DECIDED
    assert {reason: metrics["stopbank_dead_letters_total", reason] for reason in DEAD} == DEAD
    assert metrics["stopbank_repeated_purchases_total", ""] == REPEATS
    assert metrics["stopbank_late_purchases_total", ""] == 1
    # More than five on one device.
    assert metrics["stopbank_rule_hits_total", "device-burst"] == NORMAL - 5
    assert metrics["stopbank_decision_latency_seconds_count", ""] >= DECIDED


def test_lag_returns_to_0(worker: Worker) -> None:
    def lag() -> float:
        text = fetched(worker.port, "/metrics")[1]
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = families["stopbank_lag_records"].samples
        assert samples
        return sum(sample.value for sample in samples)

    wait_until(lambda: lag() == 0, "no lag", worker.process)


def test_tail_shows_the_same_decisions_in_words_and_as_json(worker: Worker) -> None:
    # The repeats are announced again, with their first decision.
    total = str(DECIDED + REPEATS)
    as_json = worker.stopbank.done("tail", "--json", "--from-beginning", "-n", total)
    decisions = [json.loads(line) for line in as_json.splitlines()]
    assert len({decision["transaction_id"] for decision in decisions}) == DECIDED
    actions = Counter({d["transaction_id"]: d["action"] for d in decisions}.values())
    metrics = worker.metrics()
    assert {a: metrics["stopbank_decisions_total", a] for a in actions} == actions
    in_words = worker.stopbank.done("tail", "--from-beginning", "--action", "block", "-n", "1")
    assert " block  " in in_words
    assert ", limit " in in_words
    assert "\x1b" not in in_words


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
def test_a_reader_that_has_enough_ends_tail_quietly(worker: Worker, options: tuple[str, ...]) -> None:
    process = worker.stopbank.start("tail", "--from-beginning", *options)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    try:
        wait_until(lambda: process.poll() is not None or _one_more(worker), "the end of tail")
    finally:
        process.kill()
    assert process.wait() == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def _one_more(worker: Worker) -> bool:
    """Gives tail something more to say, for it notices only then that nobody reads."""
    path = worker.log.with_name("more.jsonl")
    path.write_text(json.dumps(purchase(time.time_ns())) + "\n")
    worker.stopbank.done("produce", path)
    return False


def test_no_log_line_and_no_metric_names_a_person_a_card_or_a_device(worker: Worker) -> None:
    said = worker.log.read_text()
    records = [json.loads(line) for line in said.splitlines()]
    assert {"ruleset in force", "took over"} <= {record["event"] for record in records}
    metrics = fetched(worker.port, "/metrics")[1]
    for secret in SECRETS:
        assert secret not in said
        assert secret not in metrics


def test_sigterm_ends_it_in_order(worker: Worker) -> None:
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert fetched(worker.port, "/livez")[0] == 0
    assert "Traceback" not in worker.log.read_text()
