"""Gateway processes of a line, and what they answer over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
import uuid
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from streams.broker.broker import HOST, free_port
from streams.gateway.api_key import KeyScope
from streams.gateway.key_file import KeyFile, new_key
from tests.integration.cluster import PROJECT
from tests.integration.commands import fetched
from tests.integration.line import Line, until

_STOP_WAIT_S = 40.0
_START_WAIT_S = 30.0
_ANSWERS = "stopbank_gateway_answers_total"


RULES = """
ruleset: checkout
currency: CNY
rates: {USD: 7}
rules:
  - {id: huge, when: amount >= 5_000.00, then: block}
  - {id: burst, when: "count(account_id, 10m) > 20", then: block}
  - {id: device, when: "count(device_id, 10m) > 500", then: flag}
"""
WORKERS = 2


def purchase(**changes: Any) -> dict[str, Any]:
    """A purchase of an account of its own."""
    name = uuid.uuid4().hex[:12]
    return {
        "transaction_id": f"t-{name}",
        "account_id": f"a-{name}",
        "device_id": "d-1",
        "merchant_id": "m-1",
        "mcc": "5411",
        "amount": 12_345,
        "currency": "CNY",
        "event_time": int(time.time() * 1000),
        **changes,
    }


class Answered(NamedTuple):
    """An answer: its status, its text, what its headers say of how it came about, how long it took,
    and whether it was the last over its connection."""

    status: int
    body: dict[str, Any]
    text: bytes
    degraded: str | None
    took_s: float
    closes: bool

    @property
    def tier(self) -> str | None:
        return self.degraded.partition(";")[0] if self.degraded else None

    @property
    def cause(self) -> str | None:
        return self.degraded.partition("cause=")[2] if self.degraded else None


@dataclass
class Gateway:
    """One process."""

    process: subprocess.Popen[bytes]
    port: int
    probes: int
    log: Path
    tls: bool = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    def ready(self) -> str:
        """What /readyz says."""
        return fetched(self.probes, "/readyz")[1].strip()

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Samples by name and label values, in the order of the labels' names."""
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(fetched(self.probes, "/metrics")[1])
            for sample in family.samples
        }

    def answers(self, tier: str, cause: str = "") -> float:
        """How many answers of a tier there were."""
        return self.metrics()[_ANSWERS, cause, tier]

    def counted(self) -> Counter[tuple[str, str]]:
        """How many answers there were, by tier and cause."""
        samples = self.metrics().items()
        return Counter(
            {(of[1], of[0]): int(value) for (name, *of), value in samples if name == _ANSWERS and value},
        )

    def slower_than(self, limit_s: float) -> tuple[int, int]:
        """How many requests took longer than a bound of the histogram, by its own clock, and how many there were."""
        within = {"+Inf": 0.0, str(limit_s): 0.0}
        for (name, *of), value in self.metrics().items():
            if name == "stopbank_gateway_request_seconds_bucket" and of[0] in within:
                within[of[0]] += value
        return int(within["+Inf"] - within[str(limit_s)]), int(within["+Inf"])

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory, and the most that it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        now_mb, peak_mb = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
        return now_mb, peak_mb

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        self.process.send_signal(sig)
        return self.process.wait(_STOP_WAIT_S)


@dataclass
class Gateways(AbstractContextManager["Gateways"]):
    """Gateways of one line with one API key, which may do everything."""

    line: Line
    folder: Path
    running: list[Gateway] = field(default_factory=list[Gateway])

    def __post_init__(self) -> None:
        self.keys = self.folder / "keys.yaml"
        key, self.shown = new_key(list(KeyScope), datetime.now(UTC))
        KeyFile(self.keys).create(key)

    def start(self, **own: str) -> Gateway:
        """Start one; `own` are gateway settings, without their prefix."""
        port, probes = free_port(), free_port()
        log = self.folder / f"gateway-{len(self.running)}.log"
        env = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": self.line.bootstrap_servers,
            "STOPBANK_TOPIC_PREFIX": self.line.settings.topic_prefix,
            "STOPBANK_HTTP_PORT": str(probes),
            "STOPBANK_HTTP_HOST": HOST,
            "STOPBANK_GATEWAY_HOST": HOST,
            "STOPBANK_GATEWAY_PORT": str(port),
            "STOPBANK_GATEWAY_KEYS_FILE": str(self.keys),
            "STOPBANK_GATEWAY_LINGER_S": "0",
            **{f"STOPBANK_GATEWAY_{name}": value for name, value in own.items()},
        }
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "gateway"],
                env=env,
                cwd=PROJECT,
                stdout=written,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        gateway = Gateway(process, port, probes, log, "TLS_CERTFILE" in own)
        self.running.append(gateway)
        return gateway

    async def started(self, *, ready: bool = True, **own: str) -> Gateway:
        """Start one and wait until it is up, and ready where that is asked for."""
        gateway = self.start(**own)
        await until(lambda: self._is_up(gateway, ready=ready), "a gateway", _START_WAIT_S)
        return gateway

    def _is_up(self, gateway: Gateway, *, ready: bool) -> bool:
        assert gateway.process.poll() is None, gateway.log.read_text()
        return fetched(gateway.probes, "/livez")[0] == 200 and (not ready or gateway.ready() == "ok")

    def caller(self, tls: ssl.SSLContext | None = None) -> Caller:
        """Someone who calls them, with the key."""
        return Caller(str(self.shown), tls)

    def log_text(self) -> str:
        """All logs."""
        return "\n".join(f"--- {gateway.log.name}\n{gateway.log.read_text()}" for gateway in self.running)

    def __exit__(self, *_: object) -> None:
        for gateway in self.running:
            gateway.process.kill()
            gateway.process.wait()


class Caller:
    """A checkout."""

    def __init__(self, key: str, tls: ssl.SSLContext | None = None) -> None:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"}, connector=aiohttp.TCPConnector(limit=0, ssl=tls or True)
        )

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def decide(self, gateway: Gateway, purchase: dict[str, Any], deadline_ms: int = 5_000) -> Answered:
        """Ask for a decision."""
        headers = {"Stopbank-Deadline-Ms": str(deadline_ms)}
        return await self.call(gateway, "POST", "/v1/decisions", purchase, headers)

    async def look_up(self, gateway: Gateway, transaction_id: str, account_id: str | None = None) -> Answered:
        """Ask which decision was given."""
        query = f"?account_id={account_id}" if account_id else ""
        headers = {"Stopbank-Deadline-Ms": "5000"}
        return await self.call(gateway, "GET", f"/v1/decisions/{transaction_id}{query}", None, headers)

    async def call(
        self, gateway: Gateway, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answered:
        """Any request."""
        started_s = time.monotonic()
        async with self._session.request(method, gateway.url + path, json=body, headers=headers) as answer:
            text = await answer.read()
            took_s = time.monotonic() - started_s
            degraded, closes = answer.headers.get("Stopbank-Degraded"), answer.headers.get("Connection") == "close"
            return Answered(answer.status, await answer.json(), text, degraded, took_s, closes)

    async def until_decided(self, gateway: Gateway, purchase: dict[str, Any], timeout_s: float = 60) -> Answered:
        """Ask until the full decision comes."""
        deadline_s = time.monotonic() + timeout_s
        while (answer := await self.decide(gateway, purchase)).degraded or answer.status != 200:
            assert time.monotonic() < deadline_s, f"no full decision in {timeout_s} s: {answer}"
            await asyncio.sleep(0.2)
        return answer
