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
import platform
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
import uvloop

from bench.figures import Spread, percentile, spread
from bench.latency import SHARES, times_at
from bench.machine import Cores, Placement, cpu_model, pinned_to, place, usable_cores
from bench.paced import Load
from bench.rig import Worker, drain_at_once, quieten
from bench.stage import RULES, Bench, kafka
from bench.stage import Record as Sent
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
from streams.topics import DECISIONS, PURCHASES

TWELVE_RULES: Final = "twelve_rules"
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
            Sent(purchase["account_id"].encode(), orjson.dumps({**purchase, "merchant_id": merchant}))
            for purchase, merchant in zip(self._purchases, merchants, strict=True)
        ]


async def take_turn(bench: Bench, load_cores: Cores, plan: Plan, variants: Variants, *, hot: bool) -> Turn:
    """A worker on topics of its own: a drain that warms it up, the drain that counts, purchases at a fixed rate."""
    settings, purchases = await bench.prepare(TWELVE_RULES), variants.sent(hot=hot)
    paced_from = plan.warm_up + plan.drained
    prefix = settings.topic_prefix
    load = Load(bench.servers, prefix + PURCHASES, prefix + DECISIONS, plan.rate)
    worker = Worker(settings, bench.cores)
    try:
        await worker.ready()
        await drain_at_once(bench, settings, [worker], purchases[: plan.warm_up])
        drain = await drain_at_once(bench, settings, [worker], purchases[plan.warm_up : paced_from])
        times = await times_at(load, purchases[paced_from:], load_cores, worker)
    finally:
        worker.end()
    at_hot = variants.at_hot[paced_from:]
    return Turn(drain.cpu_us, [ms for ms, left_out in zip(times.latency_ms, at_hot, strict=True) if not left_out])


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
        ruleset = compile_ruleset(RULES[TWELVE_RULES].read_text(), RULES[TWELVE_RULES].name)
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


class HotKey(NamedTuple):
    """All turns, oldest first."""

    even: list[Turn]
    hot: list[Turn]

    def cpu_ratio(self) -> Spread:
        """What a purchase costs with the hot merchant beside what it costs without, in the same round."""
        return spread(hot.cpu_us / even.cpu_us for even, hot in zip(self.even, self.hot, strict=True))

    def text(self, rate: int) -> str:
        """For people."""
        costs = [spread(turn.cpu_us for turn in turns).text(1) for turns in self]
        lines = [
            f"CPU us a purchase: {costs[1]} where one merchant has {HOT_SHARE:.0%}, {costs[0]} where none stands out, "
            f"ratio {self.cpu_ratio().text(3)}"
        ]
        for name, waits in zip(self._fields, map(_waits, self), strict=True):
            told = ", ".join(f"{share} {each.text(1)}" for share, each in waits.items())
            lines.append(f"purchases of other merchants at {rate}/s, {name}: {told} ms")
        return "\n".join(lines)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "cpu_ratio": self.cpu_ratio().document(),
            **{
                name: {
                    "cpu_us": spread(turn.cpu_us for turn in turns).document(1),
                    "others_ms": {share: each.document(2) for share, each in _waits(turns).items()},
                }
                for name, turns in zip(self._fields, self, strict=True)
            },
        }


def _waits(turns: Sequence[Turn]) -> dict[str, Spread]:
    """Percentiles of each turn, and the longest."""
    shares = {**SHARES, "max": 1.0}
    return {name: spread(percentile(turn.others_ms, share) for turn in turns) for name, share in shares.items()}


async def measure(servers: str, placement: Placement, plan: Plan) -> HotKey:
    """All rounds."""
    bench, result = Bench(servers, placement.measured), HotKey([], [])
    variants = Variants(simulated(plan.purchases))
    for number in range(plan.rounds):
        for name, turns in zip(result._fields, result, strict=True):
            turns.append(await take_turn(bench, placement.load, plan, variants, hot=turns is result.hot))
            waits = ", ".join(f"{share} {each.median:.1f}" for share, each in _waits(turns[-1:]).items())
            print(f"round {number + 1}, {name}: {turns[-1].cpu_us:.1f} us a purchase, others {waits} ms", flush=True)
    return result


def measure_station(marks: Sequence[int]) -> dict[str, dict[str, float]]:
    """What a purchase costs the station, by how many the merchant had."""
    named = {"hot": station_us(marks, hot=True), "even": station_us(marks[:-1], hot=False)}
    return {name: {str(mark): round(us, 1) for mark, us in by_mark.items()} for name, by_mark in named.items()}


def _station_text(station: Mapping[str, Mapping[str, float]]) -> str:
    lines: list[str] = []
    for name, by_mark in station.items():
        after = ", ".join(f"{us} after {int(mark):,}" for mark, us in by_mark.items())
        lines.append(f"the merchants' station alone, us a purchase, {name}: {after}")
    return "\n".join(lines)


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short turn of each, within 90 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    quieten()
    begun_s = time.monotonic()
    plan, placement = QUICK if options.quick else FULL, place(usable_cores(), pin=True)
    print(
        f"{cpu_model()}, Python {platform.python_version()}; {placement.said}; {plan.drained:,} purchases and "
        f"{plan.paced_s:.0f} s at {plan.rate}/s in {plan.rounds} round(s), twelve rules",
        flush=True,
    )
    with kafka(placement.broker) as servers, pinned_to(placement.load):
        result = uvloop.run(measure(servers, placement, plan))
    print(result.text(plan.rate), flush=True)
    station = measure_station(plan.marks)
    print(f"{_station_text(station)}\nIn {time.monotonic() - begun_s:.0f} s.", flush=True)
    if options.json:
        print(orjson.dumps({**result.document(), "station_us": station}).decode())


if __name__ == "__main__":
    main()
