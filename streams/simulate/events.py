"""What a simulation gives: records for Kafka, in event-time order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Topic = Literal["purchases", "accounts", "repayments", "labels"]
TOPICS: tuple[Topic, ...] = get_args(Topic)


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """A record for the logical `topic`; `value` is its JSON, `at_ms` its event time in epoch milliseconds."""

    topic: Topic
    key: str
    value: dict[str, Any]
    at_ms: int


@dataclass(frozen=True)
class Simulation:
    """All events, ordered by `at_ms`; the credit limits come first."""

    events: list[SimulatedEvent]
