"""Latency of the gateway over HTTP and a real Kafka, at fixed rates of arrival, and how much of it is HTTP's own.

`make bench-gateway ARGS="--quick --json"`. One gateway, one worker, one broker and the generator share this machine.
Simulated purchases arrive by Poisson's law, each with an id of its own, and are judged by rules over account, device,
IP and merchant; `bench.open_loop` counts latency from when each was due. The baseline is the same requests to the same
HTTP edge where whoever decides answers at once: what it takes is the generator's, the network's and HTTP's share.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError

import orjson

from bench.figures import percentile
from bench.open_loop import Load
from bench.process import ROOT, Process, cpu_s
from bench.stage import PARTITIONS
from streams.broker.broker import HOST, free_port
from streams.broker.kafka import KafkaBroker
from streams.clients import admin_client, producer_client
from streams.gateway.api_key import KeyScope
from streams.gateway.key_file import KeyFile, new_key
from streams.rulesets import publish
from streams.settings import KafkaSettings, Settings
from streams.simulate import SimulationConfig, simulate
from streams.topics import ACCOUNTS, PURCHASES, create_topics

RATES: Final = (100, 300, 1_000)
RULES: Final = ROOT / "examples" / "rules" / "checkout.yaml"
DEADLINE_MS: Final = 100
SIMULATED_HOURS: Final = 24
SEED: Final = 17
RUN_S: Final = 20.0
QUICK_RUN_S: Final = 5.0
# Before all: a broker that has just started runs slowly until its code is compiled. And before each rate, of its run.
BROKER_WARM_UP_S: Final = 15.0
BROKER_WARM_UP_RATE: Final = 300
WARM_UP: Final = 0.25
_READY_WAIT_S: Final = 60.0

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false


class Stage(NamedTuple):
    """The processes that rates are measured on, their ports, and the key that they take."""

    worker: Process
    gateways: list[Process]
    ports: list[int]
    baseline: int
    key: str


class Fired(NamedTuple):
    """What the generator tells of one load."""

    generator_cpu_us: float
    latency_ms: list[float]
    generator_late_ms: list[float]
    degraded: list[str]
    actions: list[str]
    errors: list[str]


class Purchases:
    """A simulated day that ends now, of as many purchases as are asked for; each is taken once."""

    def __init__(self, count: int) -> None:
        start_ms = int(time.time() * 1000) - SIMULATED_HOURS * 3_600_000 - 60_000
        config = SimulationConfig(SEED, max(100, count // 20), count, start_ms, SIMULATED_HOURS * 3600.0)
        events = simulate(config).events
        self.credit_limits = [event for event in events if event.topic == ACCOUNTS]
        self._bodies = iter([orjson.dumps(event.value) for event in events if event.topic == PURCHASES])

    def take(self, count: int) -> list[bytes]:
        """The next ones, in the order of their times."""
        return [next(self._bodies) for _ in range(count)]


def fire(ports: Sequence[int], key: str, rate: float, bodies: Sequence[bytes], folder: Path) -> Fired:
    """Send purchases from a process of its own."""
    headers = {"Authorization": f"Bearer {key}", "Stopbank-Deadline-Ms": str(DEADLINE_MS)}
    load = Load([(HOST, port) for port in ports], "/v1/decisions", headers, rate, SEED)
    files = [folder / name for name in ("load.json", "requests.jsonl", "result.json")]
    files[0].write_bytes(orjson.dumps(load._asdict()))
    files[1].write_bytes(b"\n".join(bodies))
    ended = subprocess.run(
        [sys.executable, "-m", "bench.open_loop", *map(str, files)], cwd=ROOT, capture_output=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"the generator ended with {ended.returncode}:\n{ended.stderr.decode()[-3_000:]}")
    result = orjson.loads(files[2].read_bytes())
    latency_ms, late_ms, statuses, degraded, actions, errors = map(list, zip(*result["outcomes"], strict=True))
    faults = [error or f"HTTP {status}" for status, error in zip(statuses, errors, strict=True) if status != 200]
    return Fired(result["cpu_us"], latency_ms, late_ms, degraded, actions, faults)


def measure_rate(
    running: Stage,
    cpu: Mapping[str, Callable[[], float]],
    rate: int,
    purchases: Purchases,
    run_s: float,
    folder: Path,
) -> dict[str, Any]:
    """One rate: a warm-up, then what counts, then the baseline; `cpu` tells processor seconds so far."""
    warm_up = purchases.take(int(rate * run_s * WARM_UP))
    bodies = purchases.take(int(rate * run_s))
    fire(running.ports, running.key, rate, warm_up, folder)
    before_s = {name: read() for name, read in cpu.items()}
    fired = fire(running.ports, running.key, rate, bodies, folder)
    cpu_us = {name: round((read() - before_s[name]) / len(bodies) * 1e6) for name, read in cpu.items()}
    fire([running.baseline], running.key, rate, warm_up, folder)
    at_once = fire([running.baseline], running.key, rate, bodies, folder)
    return {
        **_percentiles(fired.latency_ms),
        "degraded": sum(map(bool, fired.degraded)) / len(bodies),
        "degraded_by_tier": _shares(fired.degraded),
        "actions": _shares(fired.actions),
        "errors": dict(Counter(fired.errors)),
        "cpu_us_per_request": {**cpu_us, "generator": round(fired.generator_cpu_us)},
        "generator_late_ms_p99": round(percentile(fired.generator_late_ms, 0.99), 2),
        "baseline": {**_percentiles(at_once.latency_ms), "errors": dict(Counter(at_once.errors))},
    }


def _percentiles(latency_ms: Sequence[float]) -> dict[str, float]:
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    return {name: round(percentile(latency_ms, share), 2) for name, share in shares.items()}


def _shares(said: Sequence[str]) -> dict[str, float]:
    return {what: round(count / len(said), 5) for what, count in Counter(said).items() if what}


async def prepare(servers: str, purchases: Purchases) -> Settings:
    """Topics under a new prefix, with the rules in force and every account's credit limit."""
    prefix = f"bench-gateway-{os.getpid()}-"
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=servers), topic_prefix=prefix)
    async with admin_client(settings) as admin:
        await create_topics(admin, prefix, PARTITIONS)
    await publish(settings, RULES.read_text(), RULES.name, "bench")
    async with producer_client(settings, [ACCOUNTS]) as producer:
        for limit in purchases.credit_limits:
            await producer.send(prefix + ACCOUNTS, orjson.dumps(limit.value), key=limit.key.encode())
        await producer.flush()
    return settings


@contextmanager
def stage(servers: str, settings: Settings, gateways: int, folder: Path) -> Generator[Stage]:
    """A worker, gateways and the baseline's gateway, all ready."""
    keys_file = folder / "keys.yaml"
    key = create_key(keys_file)
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "STOPBANK_TOPIC_PREFIX": settings.topic_prefix,
        "STOPBANK_HTTP_HOST": HOST,
        "STOPBANK_GATEWAY_HOST": HOST,
        "STOPBANK_GATEWAY_KEYS_FILE": str(keys_file),
        # No proxy stands before it that would have to notice its end.
        "STOPBANK_GATEWAY_LINGER_S": "0",
    }
    with ExitStack() as ended:
        running: list[tuple[Process, int]] = []

        def start(arguments: Sequence[str], port: int, **extra: str) -> Process:
            process = Process(arguments, {**env, **extra})
            ended.callback(process.end)
            running.append((process, port))
            return process

        probes, ports = [free_port() for _ in range(gateways + 1)], [free_port() for _ in range(gateways)]
        worker = start(["streams.cli", "worker"], probes[-1], STOPBANK_HTTP_PORT=str(probes[-1]))
        fronts = [
            start(
                ["streams.cli", "gateway"],
                probe,
                STOPBANK_HTTP_PORT=str(probe),
                STOPBANK_GATEWAY_PORT=str(port),
            )
            for probe, port in zip(probes[:-1], ports, strict=True)
        ]
        baseline = free_port()
        start(["bench.instant_gateway", str(baseline), str(keys_file)], baseline)
        for process, port in running:
            _wait_until_ready(process, port)
        yield Stage(worker, fronts, ports, baseline, key)


def create_key(keys_file: Path) -> str:
    """An API key that may decide, in a new file of keys."""
    kept, shown = new_key([KeyScope.DECIDE], datetime.now(UTC))
    KeyFile(keys_file).create(kept)
    return str(shown)


def _wait_until_ready(process: Process, port: int) -> None:
    deadline_s = time.monotonic() + _READY_WAIT_S
    while not _is_ready(port):
        process.verify()
        if time.monotonic() > deadline_s:
            raise SystemExit(f"a benchmarked process is not ready after {_READY_WAIT_S:.0f} s")
        time.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5) as answer:
            return answer.status == HTTPStatus.OK
    except HTTPError as error:
        # The baseline has no such page, and need not.
        return error.code == HTTPStatus.NOT_FOUND
    except OSError:
        return False


def measure(servers: str, broker: int | None, gateways: int, run_s: float) -> dict[str, Any]:
    """All rates, one after the other, on the same processes."""
    warm_up = int(BROKER_WARM_UP_RATE * BROKER_WARM_UP_S)
    purchases = Purchases(warm_up + sum(int(rate * run_s) + int(rate * run_s * WARM_UP) for rate in RATES))
    settings = asyncio.run(prepare(servers, purchases))
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, stage(servers, settings, gateways, Path(name)) as running:
        cpu = {"worker": running.worker.cpu_s, "gateways": lambda: sum(each.cpu_s() for each in running.gateways)}
        if broker is not None:
            cpu["broker"] = partial(cpu_s, broker)
        fire(running.ports, running.key, BROKER_WARM_UP_RATE, purchases.take(warm_up), Path(name))
        for rate in RATES:
            results[f"rate_{rate}"] = figures = measure_rate(running, cpu, rate, purchases, run_s, Path(name))
            print(_told(rate, figures), flush=True)
        results["rss_mb"] = {
            "worker": round(running.worker.peak_rss_mb()),
            "gateway": round(max(each.peak_rss_mb() for each in running.gateways)),
        }
    return results


def _told(rate: int, figures: dict[str, Any]) -> str:
    cpu = ", ".join(f"{name} {used:.0f}" for name, used in figures["cpu_us_per_request"].items())
    lines = [
        f"{rate}/s: p50 {figures['p50_ms']} p99 {figures['p99_ms']} p99.9 {figures['p999_ms']} ms, "
        f"degraded {figures['degraded']:.2%} {figures['degraded_by_tier'] or ''}",
        f"  HTTP alone: {figures['baseline']}; the generator was late by {figures['generator_late_ms_p99']} ms (p99)",
        f"  CPU us a request: {cpu}; answers {figures['actions']}; errors {figures['errors'] or 'none'}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs, within 90 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--gateways", type=int, default=1, help="how many gateways share the requests")
    options = parser.parse_args()
    run_s = QUICK_RUN_S if options.quick else RUN_S
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; {options.gateways} gateway(s), one worker, "
        f"{run_s:.0f} s at each rate, deadline {DEADLINE_MS} ms, rules of {RULES.name}",
        flush=True,
    )
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        results = measure(given, None, options.gateways, run_s)
    else:
        with KafkaBroker() as broker:
            results = measure(broker.bootstrap_servers, broker.nodes[0].process.pid, options.gateways, run_s)
    if options.json:
        print(orjson.dumps(results).decode())


if __name__ == "__main__":
    main()
