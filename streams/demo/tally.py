"""What the demo has seen so far: counts, latencies, reasons and the last blocks."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

from models.decision import Action, Decision

_LATENCIES_KEPT = 2_000
_BLOCKS_KEPT = 6
_RATE_OVER_S = 5.0


@dataclass
class Tally:
    """Decisions on `expected` purchases; each transaction counts once, however often it was announced."""

    expected: int
    actions: dict[str, str] = field(default_factory=dict[str, str])
    by_action: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    blocks: deque[Decision] = field(default_factory=lambda: deque[Decision](maxlen=_BLOCKS_KEPT))
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

    def per_s(self) -> float:
        """Decisions a second, over the last seconds."""
        now_s = time.monotonic()
        while self._arrivals_s and self._arrivals_s[0] < now_s - _RATE_OVER_S:
            self._arrivals_s.popleft()
        return len(self._arrivals_s) / _RATE_OVER_S


def percentile(latencies_ms: list[int] | deque[int], share: float) -> int:
    """The latency that this share of decisions stays within (nearest rank); 0 where there is none."""
    ordered = sorted(latencies_ms)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0
