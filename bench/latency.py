"""Latency at fixed rates: through a worker, and through the broker alone, round after round.

`bench.paced` sends and awaits; its figures count from when each purchase was due. In each round each rate is measured
first without a worker, by the same load on one topic, which is the least that a purchase can take here.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from bench.figures import Spread, percentile, spread
from bench.machine import Cores
from bench.paced import Load, Times
from bench.process import Process
from bench.stage import Bench, Record, purchases_ending_now
from streams.topics import DECISIONS, PURCHASES

FLOOR: Final = "broker alone"
SHARES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
# Left out at the beginning of each run, as a part of it.
WARM_UP: Final = 0.2
_POLL_S: Final = 0.2


class Offered(NamedTuple):
    """A rate, and the ruleset of the worker that it is sent to; None: no worker."""

    rate: int
    rules: str | None

    @property
    def name(self) -> str:
        """For people and for JSON."""
        return f"{self.rules or FLOOR} at {self.rate}/s"


# What is measured in one round, in this order.
ROUND: Final = (
    Offered(500, None),
    Offered(500, "account_only"),
    Offered(500, "twelve_rules"),
    Offered(2_000, None),
    Offered(2_000, "account_only"),
)


class Run(NamedTuple):
    """One load: its times without the warm-up, and the bytes of state a purchase, 0 without a worker."""

    times: Times
    state_bytes: float


@dataclass(frozen=True)
class Latency:
    """All rounds, oldest first."""

    rounds: list[dict[Offered, Run]]

    def latency_ms(self, offered: Offered, share: float) -> Spread:
        """A percentile of each round, from due to answered."""
        return spread(percentile(each[offered].times.latency_ms, share) for each in self.rounds)

    def late_ms(self, offered: Offered, share: float) -> Spread:
        """A percentile of each round, from due to sent: the generator's own."""
        return spread(percentile(each[offered].times.late_ms, share) for each in self.rounds)

    def above_floor_ms(self, offered: Offered, share: float) -> Spread:
        """How much more than the broker alone took at that rate in the same round."""
        floor = Offered(offered.rate, None)
        return spread(
            percentile(each[offered].times.latency_ms, share) - percentile(each[floor].times.latency_ms, share)
            for each in self.rounds
        )

    def state_bytes(self, offered: Offered) -> Spread:
        """Written a purchase where purchases come one by one."""
        return spread(each[offered].state_bytes for each in self.rounds)

    def text(self) -> str:
        """For people: a line for each load."""
        heads = [*(f"{name} ms" for name in SHARES), "p99 above the broker", "sent late, p99 ms", "state, bytes each"]
        lines = [f"  {'':26}" + "".join(f"{head:>25}" for head in heads)]
        for offered in ROUND:
            cells = [self.latency_ms(offered, share).text(1) for share in SHARES.values()]
            cells.append(self.above_floor_ms(offered, 0.99).text(1) if offered.rules else "")
            cells.append(self.late_ms(offered, 0.99).text(2))
            cells.append(self.state_bytes(offered).text() if offered.rules else "")
            lines.append(f"  {offered.name:26}" + "".join(f"{cell:>25}" for cell in cells))
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {}
        for offered in ROUND:
            found[offered.name] = {
                **{name: self.latency_ms(offered, share).document() for name, share in SHARES.items()},
                "sent_late_p99": self.late_ms(offered, 0.99).document(),
            }
            if offered.rules:
                found[offered.name]["p99_above_broker"] = self.above_floor_ms(offered, 0.99).document()
                found[offered.name]["state_bytes_per_purchase"] = self.state_bytes(offered).document(1)
        return found


async def measure_latency(bench: Bench, load_cores: Cores, rounds: int, seconds: float) -> Latency:
    """Each load of a round takes `seconds`, and what its worker takes to start."""
    measured: list[dict[Offered, Run]] = []
    for _ in range(rounds):
        each: dict[Offered, Run] = {}
        for offered in ROUND:
            purchases = purchases_ending_now(int(offered.rate * seconds))
            each[offered] = await _measure(bench, offered, purchases, load_cores)
        measured.append(each)
    return Latency(measured)


async def _measure(bench: Bench, offered: Offered, purchases: Sequence[Record], load_cores: Cores) -> Run:
    settings = await bench.prepare(offered.rules or "account_only")
    load = Load(bench.servers, settings.topic_prefix + PURCHASES, settings.topic_prefix + PURCHASES, offered.rate)
    if offered.rules is None:
        return Run(_warm(await times_at(load, purchases, load_cores, None)), 0.0)
    worker = bench.worker(settings)
    try:
        load = load._replace(answers=settings.topic_prefix + DECISIONS)
        times = await times_at(load, purchases, load_cores, worker)
    finally:
        worker.end()
    return Run(_warm(times), await bench.state_bytes(settings) / len(purchases))


def _warm(times: Times) -> Times:
    skip = int(len(times.latency_ms) * WARM_UP)
    return Times(times.latency_ms[skip:], times.late_ms[skip:])


async def times_at(load: Load, purchases: Sequence[Record], cores: Cores, worker: Process | None) -> Times:
    """Send purchases by a process of its own, on these cores. Raises SystemExit where it, or the worker, fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / file for file in ("load.json", "purchases.jsonl", "result.json")]
        files[0].write_bytes(orjson.dumps(load._asdict()))
        files[1].write_bytes(b"\n".join(purchase.value for purchase in purchases))
        generator = Process(["bench.paced", *map(str, files)], {}, cores)
        try:
            while not generator.has_succeeded():
                await asyncio.sleep(_POLL_S)
                if worker is not None:
                    worker.verify()
        finally:
            generator.end()
        return Times(**orjson.loads(files[2].read_bytes()))
