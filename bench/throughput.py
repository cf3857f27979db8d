"""How fast one process drains a topic that was filled before, and what each purchase costs it.

In each turn of a ruleset a worker and what it is compared with read the same purchases one after the other, and every
turn begins with another of them. Ratios are of one turn, because machines are noisy and change by the minute.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bench.figures import Spread, spread
from bench.process import Process
from bench.quix import Quix
from bench.stage import RULES, Bench, Drain, Record
from streams.settings import Settings
from streams.topics import DECISIONS, PURCHASES

WORKER: Final = "worker"
BARE_LOOP: Final = "bare loop"
LEAST: Final = "least code"
QUIX: Final = "Quix Streams"
# Where twelve rules are measured, beside the loop of the same rules: the loop of the account's four alone.
ACCOUNT_LOOP: Final = "bare loop, account rules"
WORKER_OF_SIXTY: Final = "worker, sixty rules"


class Contender(NamedTuple):
    """A name, the topic that it writes to, and how its process is started."""

    name: str
    topic: str
    start: Callable[[], Process]


@dataclass(frozen=True)
class Throughput:
    """The turns of one ruleset: what each contender measured, by its name; bytes of state a purchase in the last."""

    turns: list[dict[str, Drain]]
    state_bytes: float

    def purchases_per_s(self, name: str) -> Spread:
        """Of one contender."""
        return spread(turn[name].purchases_per_s for turn in self.turns)

    def cpu_us(self, name: str) -> Spread:
        """Processor time a purchase."""
        return spread(turn[name].cpu_us for turn in self.turns)

    def rate_ratio(self, name: str, other: str) -> Spread:
        """How many times as many purchases a second as the other."""
        return spread(turn[name].purchases_per_s / turn[other].purchases_per_s for turn in self.turns)

    def cpu_ratio(self, name: str, other: str) -> Spread:
        """How many times as much processor time a purchase as the other."""
        return spread(turn[name].cpu_us / turn[other].cpu_us for turn in self.turns)

    def names(self) -> list[str]:
        """The contenders, the worker last."""
        return sorted(self.turns[0], key=lambda name: (name.startswith(WORKER), name))

    def text(self) -> str:
        """For people: a line for each contender, with the worker's ratios to it."""
        head = f"  {'':26}{'purchases/s':>26}{'CPU us each':>22}{'worker/it, rate':>22}{'worker/it, CPU':>22}"
        lines = [head]
        for name in self.names():
            ratios = "" if name == WORKER else self._ratios(name)
            rate, cpu = self.purchases_per_s(name).text(), self.cpu_us(name).text(1)
            lines.append(f"  {name:26}{rate:>26}{cpu:>22}{ratios}")
        return "\n".join(lines)

    def _ratios(self, name: str) -> str:
        return f"{self.rate_ratio(WORKER, name).text(2):>22}{self.cpu_ratio(WORKER, name).text(2):>22}"

    def document(self) -> dict[str, Any]:
        """For JSON."""
        each: dict[str, Any] = {}
        for name in self.names():
            each[name] = {
                "purchases_per_s": self.purchases_per_s(name).document(0),
                "cpu_us": self.cpu_us(name).document(1),
                "rss_mb": round(max(turn[name].rss_mb for turn in self.turns), 1),
            }
            if name != WORKER:
                each[name]["worker_to_it_rate"] = self.rate_ratio(WORKER, name).document()
                each[name]["worker_to_it_cpu"] = self.cpu_ratio(WORKER, name).document()
        return {"contenders": each, "state_bytes_per_purchase": round(self.state_bytes, 1)}


async def measure_account_rules(bench: Bench, purchases: Sequence[Record], turns: int, quix: Quix | None) -> Throughput:
    """The four account rules: a worker, the bare loops and, where it is installed, Quix Streams."""
    measured, state_bytes = list[dict[str, Drain]](), 0.0
    for turn in range(turns):
        settings = await bench.prepare("account_only", ["same-step", "least", "quix"])
        await bench.fill(settings, purchases)
        contenders = [
            _bare_loop(bench, settings, BARE_LOOP, "account_only", "same-step"),
            _bare_loop(bench, settings, LEAST, "account_only", "least"),
            _worker(bench, settings, WORKER),
        ]
        with tempfile.TemporaryDirectory(prefix="bench-quix-") as folder:
            if quix is not None:
                contenders.insert(2, _quix(bench, settings, quix, folder))
            measured.append(await _turn(bench, contenders, turn, len(purchases)))
        if turn == turns - 1:
            state_bytes = await bench.state_bytes(settings) / len(purchases)
    return Throughput(measured, state_bytes)


async def measure_entity_rules(bench: Bench, purchases: Sequence[Record], turns: int) -> Throughput:
    """Twelve rules and sixty: a worker of each, the bare loops of the twelve, and the one of the account rules."""
    measured, state_bytes = list[dict[str, Drain]](), 0.0
    for turn in range(turns):
        settings = await bench.prepare("twelve_rules", ["account-loop", "same-step", "least"])
        of_sixty = await bench.prepare("sixty_rules")
        await bench.fill(settings, purchases)
        await bench.fill(of_sixty, purchases)
        contenders = [
            _bare_loop(bench, settings, ACCOUNT_LOOP, "account_only", "same-step", "account-loop"),
            _bare_loop(bench, settings, BARE_LOOP, "twelve_rules", "same-step"),
            _bare_loop(bench, settings, LEAST, "twelve_rules", "least"),
            _worker(bench, settings, WORKER),
            _worker(bench, of_sixty, WORKER_OF_SIXTY),
        ]
        measured.append(await _turn(bench, contenders, turn, len(purchases)))
        if turn == turns - 1:
            state_bytes = await bench.state_bytes(settings) / len(purchases)
    return Throughput(measured, state_bytes)


async def measure_state_bytes(bench: Bench, purchases: Sequence[Record], before: int) -> float:
    """Bytes of state a purchase, account rules: the first `before` of them fill the logs, the others count.

    Both parts are there before a worker starts, as in all drains: a run takes as many purchases as it may.
    """
    settings = await bench.prepare("account_only")
    written, topic = [0], settings.topic_prefix + DECISIONS
    for part, total in ((purchases[:before], before), (purchases[before:], len(purchases))):
        await bench.fill(settings, part)
        await bench.drain(bench.worker(settings), topic, total)
        written.append(await bench.state_bytes(settings))
    return (written[2] - written[1]) / (len(purchases) - before)


async def _turn(bench: Bench, contenders: Sequence[Contender], turn: int, expected: int) -> dict[str, Drain]:
    first = turn % len(contenders)
    return {
        contender.name: await bench.drain(contender.start(), contender.topic, expected)
        for contender in (*contenders[first:], *contenders[:first])
    }


def _worker(bench: Bench, settings: Settings, name: str) -> Contender:
    return Contender(name, settings.topic_prefix + DECISIONS, lambda: bench.worker(settings))


def _bare_loop(
    bench: Bench, settings: Settings, name: str, rules: str, decider: str, output: str | None = None
) -> Contender:
    topic = settings.topic_prefix + (output or decider)
    arguments = [bench.servers, settings.topic_prefix + PURCHASES, topic, RULES[rules].name, decider]
    return Contender(name, topic, lambda: bench.process(["bench.bare_loop", *arguments]))


def _quix(bench: Bench, settings: Settings, quix: Quix, folder: str) -> Contender:
    topic = settings.topic_prefix + "quix"
    arguments = [bench.servers, settings.topic_prefix + PURCHASES, topic, topic, folder]
    return Contender(QUIX, topic, lambda: bench.process(["bench.quix_loop", *arguments], python=quix.python))
