"""Which part of a worker a sample of its stack belongs to.

A sample is py-spy's raw text: frames from the outermost to the innermost, `function (file:line)`, joined by `;`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

REST: Final = "event loop, interpreter and what else there is"


class Component(NamedTuple):
    """A part, and what tells it: pieces of frames, any of which is enough."""

    name: str
    marks: tuple[str, ...]


# The first whose mark is in any frame of the stack has the sample, so that what is called for a part counts as its own.
COMPONENTS: Final = (
    Component("state: what changed, encoded", (".changes (rules/", "encode_changes (")),
    Component("decode purchases", ("(models/purchase.py", "(models/plain_purchase.py")),
    Component("encode decisions", ("encode_decision (", "decision_of (", "(<approval>")),
    Component("anomaly score", ("(rules/anomaly/",)),
    Component("rules", ("(rules/language/", "_judge (rules/decider.py", "(<ruleset>")),
    Component(
        "features: windows and logs",
        (
            "(<features>",
            "(rules/velocity.py",
            "(rules/clearing.py",
            "(rules/logbook.py",
            "(rules/kept_log.py",
            "(rules/windows.py",
            "(rules/sighting.py",
            "(rules/station.py",
        ),
    ),
    Component(
        "credit, reservations, first decisions",
        (
            "(rules/reservation",
            "(rules/credit.py",
            "(rules/account",
            "(rules/body.py",
            "(rules/decided.py",
            "(rules/block_log.py",
            "(rules/answered.py",
            "(rules/settling",
        ),
    ),
    Component("router and desk, the rest", ("(rules/",)),
    Component("produce: outputs and state", ("(aiokafka/producer/", "(streams/engine/writer.py")),
    Component("commit and group", ("(aiokafka/consumer/group_coordinator.py", "RunConsumer._commit (")),
    Component("fetch", ("(aiokafka/consumer/", "RunConsumer._take_in (", "RunConsumer._deliver (")),
    Component("network: requests and responses", ("(aiokafka/",)),
    Component(
        "runs through the engine, and metrics", ("(streams/engine/", "(streams/worker.py", "(prometheus_client/")
    ),
    Component("Faust", ("(faust/", "(mode/services.py")),
)


def component_of(stack: str) -> str:
    """The part that a sample belongs to."""
    for component in COMPONENTS:
        if any(mark in stack for mark in component.marks):
            return component.name
    return REST


def shares(samples: Iterable[str]) -> dict[str, float]:
    """What share of the samples each part has, the largest first. `samples` are py-spy's lines: a stack and a count."""
    counted = Counter[str]()
    for line in samples:
        stack, _, count = line.rpartition(" ")
        counted[component_of(stack)] += int(count)
    total = counted.total()
    return {name: count / total for name, count in counted.most_common()}
