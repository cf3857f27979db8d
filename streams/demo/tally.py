"""What the demo has seen so far: counts, latencies, reasons and the last blocks."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from models.decision import Action, Decision
from streams.produce import OutgoingLine
from streams.topics import PURCHASES

# The latencies that the live view looks at, and the blocks that it shows.
_LATENCIES_KEPT: Final = 2_000
BLOCKS_KEPT: Final = 7
_RATE_OVER_S: Final = 5.0


@dataclass
class Tally:
    """Decisions on `expected` purchases; each transaction counts once, however often it was announced."""

    expected: int
    actions: dict[str, str] = field(default_factory=dict[str, str])
    by_action: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    blocks: deque[Decision] = field(default_factory=lambda: deque[Decision](maxlen=BLOCKS_KEPT))
    latencies_ms: deque[int] = field(default_factory=lambda: deque[int](maxlen=_LATENCIES_KEPT))
    all_latencies_ms: list[int] = field(default_factory=list[int])
    _arrivals_s: deque[float] = field(default_factory=deque[float])

    @property
    def done(self) -> bool:
        """Whether every purchase has its decision."""
        return len(self.actions) >= self.expected

    def take(self, decision: Decision, latency_ms: int) -> None:
        """Count a decision."""
        if decision.transaction_id in self.actions:
            return
        self.actions[decision.transaction_id] = decision.action
        self.by_action[decision.action] += 1
        self.reasons.update(reason.code for reason in decision.reasons)
        if decision.action == Action.BLOCK:
            self.blocks.append(decision)
        self.latencies_ms.append(latency_ms)
        self.all_latencies_ms.append(latency_ms)
        self._arrivals_s.append(time.monotonic())

    def undecided(self, lines: Iterable[OutgoingLine]) -> list[OutgoingLine]:
        """The purchases among these records that have no decision."""
        return [
            line for line in lines if line.topic == PURCHASES and str(line.value["transaction_id"]) not in self.actions
        ]

    def per_s(self) -> float:
        """Decisions a second, over the last seconds: fewer at the start."""
        now_s = time.monotonic()
        while self._arrivals_s and self._arrivals_s[0] < now_s - _RATE_OVER_S:
            self._arrivals_s.popleft()
        return len(self._arrivals_s) / _RATE_OVER_S


def percentile(latencies_ms: Collection[int], share: float) -> int:
    """The latency that this share of them stays within (nearest rank); 0 where there is none."""
    ordered = sorted(latencies_ms)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0
