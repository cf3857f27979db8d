"""Two workers beside one, on topics of eight partitions: how fast they drain them, and what a purchase costs.

`make bench-two-workers ARGS="--quick --json"`. One and two take turns, each on topics of its own that are filled while
the workers, ready and warm, stand still. Where there are cores enough, each worker has one of its own, and the broker
and whoever writes have the rest: then the ratio of the rates is what a second worker brings. Where there are not,
workers, broker and writer take each other's time, and that says nothing of workers; what a purchase costs does: it is
to be the same, by the processor time of both.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import orjson
import uvloop

from bench.figures import Spread, spread
from bench.machine import Cores, cpu_model, pinned_to, usable_cores
from bench.rig import READY_WAIT_S, Worker, drain_at_once, quieten
from bench.stage import Bench, Record, kafka, purchases_ending_now
from streams.settings import Settings
from streams.topics import ASSESSMENTS, PURCHASES, SIGHTINGS

PARTITIONS: Final = 8
WORKERS: Final = (1, 2)
# By ruleset: how many purchases a turn has.
COUNT: Final = {"account_only": 60_000, "twelve_rules": 30_000}
QUICK_SHARE: Final = 5
# One for each of two workers; the broker and the writer share at least two.
CORES_TO_SPLIT: Final = 4
DECIDED: Final = "stopbank_decisions_total"
_WARM_UP_SHARE: Final = 10
_POLL_S: Final = 0.2


class Split(NamedTuple):
    """The cores of each worker, and of all others."""

    workers: tuple[Cores, Cores]
    others: Cores
    apart: bool


def split(cores: Iterable[int]) -> Split:
    """One for each worker and the rest for the broker and the writer, where that leaves them two; else all for all."""
    free = sorted(cores)
    every = frozenset(free)
    if len(free) < CORES_TO_SPLIT:
        return Split((every, every), every, apart=False)
    *others, one, other = free
    return Split((frozenset({one}), frozenset({other})), frozenset(others), apart=True)


class Turn(NamedTuple):
    """What some workers did: their rate, what a purchase cost, and the share of each in partitions and decisions."""

    purchases_per_s: float
    cpu_us: float
    partitions: list[dict[str, int]]
    decisions: list[int]

    def text(self) -> str:
        """For people."""
        parts = " and ".join("/".join(map(str, held.values())) for held in self.partitions)
        return (
            f"{self.purchases_per_s:,.0f} a second, {self.cpu_us:.1f} us CPU a purchase; {parts} partitions of "
            f"{'/'.join(self.partitions[0])}, decisions {self.decisions}"
        )


class Pair(NamedTuple):
    """The turns of one worker and those of two, oldest first."""

    one: list[Turn]
    two: list[Turn]

    def rate_ratio(self) -> Spread:
        """The rate of two beside that of one in the same round."""
        return spread(two.purchases_per_s / one.purchases_per_s for one, two in zip(self.one, self.two, strict=True))

    def cpu_ratio(self) -> Spread:
        """What a purchase costs two workers beside what it costs one in the same round."""
        return spread(two.cpu_us / one.cpu_us for one, two in zip(self.one, self.two, strict=True))

    def text(self, *, apart: bool) -> str:
        """For people."""
        rates = [spread(turn.purchases_per_s for turn in turns) for turns in self]
        costs = [spread(turn.cpu_us for turn in turns) for turns in self]
        doubt = "" if apart else ", which says little where they share cores with the broker"
        return (
            f"two workers: {self.rate_ratio().text(2)} times the rate of one{doubt}: {rates[1].text()} and "
            f"{rates[0].text()} a second; CPU us a purchase {costs[1].text(1)} and {costs[0].text(1)}, "
            f"ratio {self.cpu_ratio().text(3)}"
        )

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rate_ratio": self.rate_ratio().document(),
            "cpu_ratio": self.cpu_ratio().document(),
            **{
                name: {
                    "purchases_per_s": spread(turn.purchases_per_s for turn in turns).document(0),
                    "cpu_us": spread(turn.cpu_us for turn in turns).document(1),
                    "partitions": turns[-1].partitions,
                    "decisions": turns[-1].decisions,
                }
                for name, turns in zip(self._fields, self, strict=True)
            },
        }


async def take_turn(bench: Bench, rules: str, cores: Sequence[Cores], purchases: Sequence[Record]) -> Turn:
    """Workers on these cores share a topic: a drain that warms them up, then the one that counts."""
    settings, warm_up = await bench.prepare(rules), len(purchases) // _WARM_UP_SHARE
    with ExitStack() as running:
        workers: list[Worker] = []
        for each in cores:
            workers.append(Worker(settings, each))
            running.callback(workers[-1].end)
        partitions = await _shared(settings, workers)
        await drain_at_once(bench, settings, workers, purchases[:warm_up])
        before = [int(await worker.metric(DECIDED)) for worker in workers]
        drain = await drain_at_once(bench, settings, workers, purchases[warm_up:])
        decisions = [int(await worker.metric(DECIDED)) - base for worker, base in zip(workers, before, strict=True)]
    return Turn(drain.purchases_per_s, drain.cpu_us, partitions, decisions)


async def _shared(settings: Settings, workers: Sequence[Worker]) -> list[dict[str, int]]:
    """Wait until the workers have shared all partitions and are ready; how many each has of the topics that count."""
    names = (PURCHASES, SIGHTINGS, ASSESSMENTS)
    every = {f"{settings.topic_prefix}{name}-{number}" for name in names for number in range(PARTITIONS)}
    deadline_s = time.monotonic() + READY_WAIT_S
    while True:
        for worker in workers:
            await worker.ready()
        held = [every.intersection(worker.events("took over")[-1]["partitions"]) for worker in workers]
        # Each has another part: so all of them have heard of the last division.
        if set().union(*held) == every and sum(map(len, held)) == len(every):
            break
        if time.monotonic() > deadline_s:
            raise SystemExit(f"the partitions are not shared after {READY_WAIT_S:.0f} s")
        await asyncio.sleep(_POLL_S)
    for worker in workers:
        await worker.ready()
    of_topic = [Counter(tp.removeprefix(settings.topic_prefix).rpartition("-")[0] for tp in part) for part in held]
    return [{name: counted[name] for name in names} for counted in of_topic]


async def measure(servers: str, cores: Split, share: int, rounds: int) -> dict[str, Pair]:
    """The turns under each ruleset, told as they come."""
    bench, results = Bench(servers, partitions=PARTITIONS), dict[str, Pair]()
    for rules, count in COUNT.items():
        purchases = purchases_ending_now(count // share)
        pair = results[rules] = Pair([], [])
        for number in range(rounds):
            for workers, turns in zip(WORKERS, pair, strict=True):
                turns.append(await take_turn(bench, rules, cores.workers[:workers], purchases))
                print(f"round {number + 1}, {rules}, {workers} worker(s): {turns[-1].text()}", flush=True)
        print(f"{rules}, {pair.text(apart=cores.apart)}", flush=True)
    return results


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short turn of each, within 90 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    quieten()
    begun_s = time.monotonic()
    share, rounds = (QUICK_SHARE, 1) if options.quick else (1, 3)
    cores = split(usable_cores())
    where = (
        f"each worker on a core of its own, broker and writer on {len(cores.others)} others"
        if cores.apart
        else f"no process is pinned: all share {len(cores.others)} cores, {CORES_TO_SPLIT} are needed"
    )
    print(
        f"{cpu_model()}, Python {platform.python_version()}; {where}; {PARTITIONS} partitions, {rounds} round(s)",
        flush=True,
    )
    with kafka(cores.others) as servers, pinned_to(cores.others):
        results = uvloop.run(measure(servers, cores, share, rounds))
    print(f"In {time.monotonic() - begun_s:.0f} s.", flush=True)
    if options.json:
        documents = {rules: pair.document() for rules, pair in results.items()}
        print(orjson.dumps({"apart": cores.apart, **documents}).decode())


if __name__ == "__main__":
    main()
