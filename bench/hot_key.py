"""One merchant with 30 % of all purchases, beside the same purchases where no merchant stands out.

`make bench-hot-key ARGS="--quick --json"`. Twelve rules over account, device, IP and merchant; one worker on a real
Kafka. Event times are those of a million purchases a day, whatever the rate at which they are sent: the merchant's log
is at its bound of rows after some minutes, and merges rows from then on. The hot and the even purchases take turns;
each turn has a drain, for what a purchase costs, and then purchases at a fixed rate, for how long those of *other*
merchants wait, who must not wait for the hot one. What a purchase of the merchant costs its station is also measured in
memory, as the merchant grows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

from bench.figures import percentile
from bench.pace import latencies_ms
from bench.process import ROOT
from bench.rig import Rig, Sent, Worker
from bench.stage import kafka
from models.purchase import decode_purchase
from rules.entity import entity_of
from rules.fold import Output, Record
from rules.language.compile import compile_ruleset
from rules.memory_line import FixedRulesets
from rules.route import PURCHASE, Origin, Route
from rules.rulesets import reference_of
from rules.station import Station
from rules.step import itinerary, onward
from streams.simulate import SimulationConfig, simulate
from streams.topics import PURCHASES

RULES: Final = "twelve-rules.yaml"
PARTITIONS: Final = 4
DAY_MS: Final = 86_400_000
PURCHASES_A_DAY: Final = 1_000_000
HOT_SHARE: Final = 0.3
HOT: Final = "m-hot"
_EVEN_MERCHANTS: Final = 1_000
_SEED: Final = 29
_PURCHASES_AN_ACCOUNT: Final = 3
_BEHIND_MS: Final = 60_000
_RUN: Final = 100
_MARK_SAMPLES: Final = 5_000


class Plan(NamedTuple):
    """How much is measured: purchases of a drain and before it, the fixed rate and for how long, and the rounds."""

    warm_up: int
    drained: int
    rate: int
    paced_s: float
    rounds: int
    marks: Sequence[int]

    @property
    def purchases(self) -> int:
        """How many purchases a turn takes."""
        return self.warm_up + self.drained + int(self.rate * self.paced_s)


FULL: Final = Plan(4_000, 30_000, 400, 15.0, 3, (10_000, 100_000, 1_000_000))
QUICK: Final = Plan(2_000, 6_000, 200, 4.0, 1, (10_000, 100_000))


class Turn(NamedTuple):
    """What one worker's turn measured."""

    cpu_us: float
    others_ms: list[float]


def simulated(count: int) -> list[dict[str, Any]]:
    """Simulated purchases, as dense as a million a day, that end now."""
    duration_ms = count * DAY_MS / PURCHASES_A_DAY
    start_ms = int(time.time() * 1000 - duration_ms) - _BEHIND_MS
    config = SimulationConfig(_SEED, count // _PURCHASES_AN_ACCOUNT, count, start_ms, duration_ms / 1000)
    return [event.value for event in simulate(config).events if event.topic == PURCHASES]


class Variants:
    """The same purchases twice: with a merchant that has its share of them, and without."""

    def __init__(self, purchases: Sequence[dict[str, Any]]) -> None:
        draw = random.Random(_SEED)
        self._even = [f"m-{draw.randrange(_EVEN_MERCHANTS):04d}" for _ in purchases]
        self.at_hot = [draw.random() < HOT_SHARE for _ in purchases]
        self._purchases = purchases

    def sent(self, *, hot: bool) -> list[Sent]:
        """The purchases, of the hot merchant where that is to be one; the others are the same in both."""
        merchants = [HOT if hot and at_hot else even for even, at_hot in zip(self._even, self.at_hot, strict=True)]
        return [
            Sent(purchase["account_id"], orjson.dumps({**purchase, "merchant_id": merchant}))
            for purchase, merchant in zip(self._purchases, merchants, strict=True)
        ]


async def take_turn(rig: Rig, plan: Plan, variants: Variants, *, hot: bool) -> Turn:
    """A worker on topics of its own: a drain that warms it up, the drain that counts, purchases at a fixed rate."""
    settings, purchases = await rig.prepare(RULES), variants.sent(hot=hot)
    paced_from = plan.warm_up + plan.drained
    worker = Worker(settings)
    try:
        await worker.ready()
        await rig.drain(settings, [worker], purchases[: plan.warm_up])
        drain = await rig.drain(settings, [worker], purchases[plan.warm_up : paced_from])
        waited_ms = await latencies_ms(rig, settings, purchases[paced_from:], plan.rate)
    finally:
        worker.end()
    at_hot = variants.at_hot[paced_from:]
    return Turn(drain.cpu_us, [ms for ms, not_counted in zip(waited_ms, at_hot, strict=True) if not not_counted])


def station_us(marks: Sequence[int], *, hot: bool) -> dict[int, float]:
    """What a purchase costs the fold of the merchants' station, in microseconds, up to so many of them."""
    line = StationLine(1 if hot else _EVEN_MERCHANTS, HOT_SHARE if hot else 1.0)
    measured: dict[int, float] = {}
    for mark in marks:
        for run in line.runs(mark - _MARK_SAMPLES):
            line.take(run)
        runs = list(line.runs(mark))
        began_ns = time.process_time_ns()
        for run in runs:
            line.take(run)
        measured[mark] = (time.process_time_ns() - began_ns) / 1000 / sum(map(len, runs))
    return measured


class StationLine:
    """A station where `merchants` in turn have `share` of a million purchases a day."""

    def __init__(self, merchants: int, share: float) -> None:
        rulesets = FixedRulesets()
        ruleset = compile_ruleset((ROOT / "examples" / "rules" / RULES).read_text(), RULES)
        rulesets.use(ruleset)
        self._plan, self._reference = ruleset.plan, reference_of(ruleset)
        self._station = Station(rulesets)
        self._merchants = merchants
        self._interval_ms = DAY_MS / PURCHASES_A_DAY / share
        self._start_ms = int(time.time() * 1000) - 30 * DAY_MS
        self._template, self._made = simulated(_RUN)[0], 0

    def runs(self, until: int) -> Iterator[list[Record]]:
        """The next purchases on their way to the station, run by run, up to that many in all."""
        while self._made < until:
            yield [self._sighting() for _ in range(min(_RUN, until - self._made))]

    def take(self, run: Sequence[Record]) -> list[Output]:
        """Measure and enter a run, and encode what changed, as a worker does."""
        outputs = [output for record in run for output in self._station.apply(record)]
        self._station.changes()
        return outputs

    def _sighting(self) -> Record:
        number, at_ms = self._made, self._start_ms + int(self._made * self._interval_ms)
        self._made += 1
        value = orjson.dumps(
            {
                **self._template,
                "transaction_id": f"s-{number}",
                "account_id": f"a-{number % (PURCHASES_A_DAY // _PURCHASES_AN_ACCOUNT)}",
                "merchant_id": f"m-{number % self._merchants}",
                "event_time": at_ms,
            }
        )
        purchase = decode_purchase(value)
        stops = tuple(stop for stop in itinerary(self._plan, purchase) if entity_of(stop) == ("merchant_id",))
        route = Route(PURCHASE, self._reference, Origin(PURCHASES, 0, number, at_ms), None, True, stops)
        output = onward(purchase.account_id, value, (), route)
        return Record(number, at_ms, output.key, output.value, output.headers)


def _waits(turns: Sequence[Turn]) -> dict[str, float]:
    """Percentiles over all turns."""
    waited_ms = [ms for turn in turns for ms in turn.others_ms]
    return {
        **{name: round(percentile(waited_ms, share), 1) for name, share in {"p50": 0.5, "p99": 0.99}.items()},
        "max": round(max(waited_ms), 1),
    }


async def measure(servers: str, plan: Plan) -> dict[str, Any]:
    """All figures that need a broker."""
    rig, turns = Rig(servers, PARTITIONS), dict[bool, list[Turn]]({True: [], False: []})
    variants = Variants(simulated(plan.purchases))
    for number in range(plan.rounds):
        for hot in (False, True):
            turn = await take_turn(rig, plan, variants, hot=hot)
            turns[hot].append(turn)
            name = "hot" if hot else "even"
            print(f"round {number + 1}, {name}: {turn.cpu_us:.1f} us a purchase, others {_waits([turn])}", flush=True)
    ratios = [hot.cpu_us / even.cpu_us for even, hot in zip(turns[False], turns[True], strict=True)]
    return {
        "hot_cpu_us": round(statistics.median(turn.cpu_us for turn in turns[True]), 1),
        "even_cpu_us": round(statistics.median(turn.cpu_us for turn in turns[False]), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "rate": plan.rate,
        "others_ms_beside_hot": _waits(turns[True]),
        "others_ms_beside_even": _waits(turns[False]),
    }


def measure_station(marks: Sequence[int]) -> dict[str, dict[str, float]]:
    """What a purchase costs the station, by how many the merchant had."""
    named = {"hot": station_us(marks, hot=True), "even": station_us(marks[:-1], hot=False)}
    return {name: {str(mark): round(us, 1) for mark, us in by_mark.items()} for name, by_mark in named.items()}


def _told(figures: dict[str, Any]) -> str:
    lines = [
        f"CPU us a purchase: {figures['hot_cpu_us']} where one merchant has {HOT_SHARE:.0%}, {figures['even_cpu_us']} "
        f"where none stands out, ratio {figures['ratio']} {figures['ratio_spread']}",
        f"purchases of other merchants at {figures['rate']}/s, ms: {figures['others_ms_beside_hot']} beside the hot "
        f"merchant, {figures['others_ms_beside_even']} without",
    ]
    for name, by_mark in figures["station_us"].items():
        after = ", ".join(f"{us} after {int(mark):,}" for mark, us in by_mark.items())
        lines.append(f"the station alone, us a purchase, {name}: {after}")
    return "\n".join(lines)


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short turn of each, within 90 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {plan.drained} purchases and "
        f"{plan.paced_s:.0f} s at {plan.rate}/s in {plan.rounds} round(s), rules of {RULES}",
        flush=True,
    )
    with kafka() as servers:
        results = asyncio.run(measure(servers, plan))
    results["station_us"] = measure_station(plan.marks)
    print(_told(results), flush=True)
    if options.json:
        print(orjson.dumps(results).decode())


if __name__ == "__main__":
    main()
