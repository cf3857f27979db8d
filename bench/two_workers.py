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
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import orjson

from bench.rig import READY_WAIT_S, Rig, Sent, Worker
from bench.stage import RULES, kafka, purchases_ending_now
from streams.settings import Settings
from streams.topics import ASSESSMENTS, PURCHASES, SIGHTINGS

PARTITIONS: Final = 8
WORKERS: Final = (1, 2)
COUNT: Final = {"account_only": 60_000, "twelve_rules": 30_000}
QUICK_SHARE: Final = 5
# One for each of two workers; the broker and the writer share at least two.
CORES_TO_PIN: Final = 4
DECIDED: Final = "stopbank_decisions_total"
_WARM_UP_SHARE: Final = 10
_POLL_S: Final = 0.2


class Turn(NamedTuple):
    """What some workers did: their rate, what a purchase cost, and the share of each in partitions and decisions."""

    purchases_per_s: float
    cpu_us: float
    partitions: list[dict[str, int]]
    decisions: list[int]


class Cores:
    """The cores of workers, one each, and of all others; none where there are too few."""

    def __init__(self, available: Sequence[int]) -> None:
        self.count = len(available)
        self.enough = self.count >= CORES_TO_PIN
        self.workers = list(available[: max(WORKERS)])
        self.others = set(available[max(WORKERS) :])

    def take_others(self) -> None:
        """This process, and what it starts from now on, keeps off the workers' cores."""
        if self.enough:
            os.sched_setaffinity(0, self.others)

    def give(self, worker: int, pid: int) -> None:
        """The core of a worker, for a process that has only just begun."""
        if self.enough:
            os.sched_setaffinity(pid, {self.workers[worker]})


async def take_turn(
    rig: Rig, cores: Cores, rule_file: str, count: int, warm_up: int, purchases: Sequence[Sent]
) -> Turn:
    """`count` workers share a topic: a drain that warms them up, then the one that counts."""
    settings = await rig.prepare(rule_file)
    with ExitStack() as running:
        workers: list[Worker] = []
        for number in range(count):
            worker = Worker(settings)
            running.callback(worker.end)
            cores.give(number, worker.pid)
            workers.append(worker)
        split = await _shared(settings, workers)
        await rig.drain(settings, workers, purchases[:warm_up])
        before = [int(await worker.metric(DECIDED)) for worker in workers]
        drain = await rig.drain(settings, workers, purchases[warm_up:])
        decisions = [int(await worker.metric(DECIDED)) - base for worker, base in zip(workers, before, strict=True)]
    return Turn(drain.purchases_per_s, drain.cpu_us, split, decisions)


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


async def measure(servers: str, cores: Cores, share: int, rounds: int) -> dict[str, dict[str, Any]]:
    """The figures of each ruleset."""
    rig, results = Rig(servers, PARTITIONS), dict[str, dict[str, Any]]()
    for rules in COUNT:
        count = COUNT[rules] // share
        purchases = [Sent(each.key.decode(), each.value) for each in purchases_ending_now(count)]
        warm_up = count // _WARM_UP_SHARE
        turns: dict[int, list[Turn]] = {workers: [] for workers in WORKERS}
        for number in range(rounds):
            for workers in WORKERS:
                turn = await take_turn(rig, cores, RULES[rules].name, workers, warm_up, purchases)
                turns[workers].append(turn)
                print(f"round {number + 1}, {rules}, {workers} worker(s): {_told_turn(turn)}", flush=True)
        results[rules] = _figures(turns[1], turns[2])
    return results


def _figures(one: Sequence[Turn], two: Sequence[Turn]) -> dict[str, Any]:
    rates = [both.purchases_per_s / alone.purchases_per_s for alone, both in zip(one, two, strict=True)]
    costs = [both.cpu_us / alone.cpu_us for alone, both in zip(one, two, strict=True)]
    return {
        "one_purchases_per_s": round(statistics.median(turn.purchases_per_s for turn in one)),
        "two_purchases_per_s": round(statistics.median(turn.purchases_per_s for turn in two)),
        "rate_ratio": round(statistics.median(rates), 3),
        "rate_ratio_spread": [round(min(rates), 3), round(max(rates), 3)],
        "one_cpu_us": round(statistics.median(turn.cpu_us for turn in one), 1),
        "two_cpu_us": round(statistics.median(turn.cpu_us for turn in two), 1),
        "cpu_ratio": round(statistics.median(costs), 3),
        "cpu_ratio_spread": [round(min(costs), 3), round(max(costs), 3)],
        "partitions": two[-1].partitions,
        "decisions": two[-1].decisions,
    }


def _told_turn(turn: Turn) -> str:
    parts = " and ".join("/".join(map(str, held.values())) for held in turn.partitions)
    return (
        f"{turn.purchases_per_s:.0f} a second, {turn.cpu_us:.1f} us CPU a purchase; "
        f"{parts} partitions of purchases/sightings/assessments, decisions {turn.decisions}"
    )


def _told(rules: str, figures: dict[str, Any], *, pinned: bool) -> str:
    rate = f"{figures['rate_ratio']} times the rate of one {figures['rate_ratio_spread']}"
    if not pinned:
        rate = f"({rate}, of which nothing follows here)"
    return (
        f"{rules}: two workers have {rate}: {figures['one_purchases_per_s']} and {figures['two_purchases_per_s']} a "
        f"second; CPU us a purchase {figures['one_cpu_us']} and {figures['two_cpu_us']}, ratio {figures['cpu_ratio']} "
        f"{figures['cpu_ratio_spread']}"
    )


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short turn of each, within 90 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    share, rounds = (QUICK_SHARE, 1) if options.quick else (1, 3)
    cores = Cores(sorted(os.sched_getaffinity(0)))
    cores.take_others()
    where = "a core of its own for each worker" if cores.enough else f"under {CORES_TO_PIN} cores: nobody has one alone"
    print(
        f"Python {platform.python_version()}, {cores.count} cores, {where}; {PARTITIONS} partitions, {rounds} round(s)",
        flush=True,
    )
    with kafka() as servers:
        results = asyncio.run(measure(servers, cores, share, rounds))
    for rules, figures in results.items():
        print(_told(rules, figures, pinned=cores.enough), flush=True)
    if options.json:
        print(orjson.dumps({"pinned": cores.enough, **results}).decode())


if __name__ == "__main__":
    main()
