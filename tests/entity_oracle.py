"""An oracle of one entity: its purchases by their outcome, in plain lists in order of time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace

from models.purchase import Purchase
from rules.plan import Aggregate, Feature, Outcome, Trailing
from tests.oracle import APPROVED, DECLINED, EntityHistory, Seen
from tests.settlement_oracle import RELEASED

# Longer than any calendar period.
_PERIOD_MS = 32 * 86_400_000


@dataclass
class Timeline:
    """Purchases in order of their time."""

    times: list[int] = field(default_factory=list[int])
    seen: list[Seen] = field(default_factory=list[Seen])

    def add(self, seen: Seen) -> None:
        index = bisect_right(self.times, seen.time_ms)
        self.times.insert(index, seen.time_ms)
        self.seen.insert(index, seen)

    def between(self, after_ms: int, until_ms: int) -> list[Seen]:
        return self.seen[bisect_right(self.times, after_ms) : bisect_right(self.times, until_ms)]


@dataclass
class Entity:
    """All purchases of one entity by their outcome; at stations, which know none, all are approved.

    Released are those that were approved, until a settlement took that back. Beside them, what labels say is fraud.
    """

    by_outcome: dict[str, Timeline] = field(
        default_factory=lambda: {APPROVED: Timeline(), DECLINED: Timeline(), RELEASED: Timeline()}
    )
    fraud: Timeline = field(default_factory=Timeline)

    def enter(self, seen: Seen) -> None:
        self.by_outcome[seen.outcome].add(seen)

    def move(self, purchase: Purchase, outcome: str) -> None:
        """A purchase has another outcome from now on."""
        for line in self.by_outcome.values():
            for index, seen in enumerate(line.seen):
                if seen.purchase.transaction_id == purchase.transaction_id:
                    del line.times[index], line.seen[index]
                    self.enter(replace(seen, outcome=outcome))
                    return

    def history_of(self, feature: Feature, time_ms: int, *, clearing: bool = False) -> EntityHistory:
        """What the feature can depend on at this time; or, with `clearing`, from then on."""
        if feature.outcome is Outcome.FRAUD:
            return EntityHistory([], self.fraud.seen)
        return EntityHistory((self._that_clear if clearing else self._that_matter)(feature, time_ms))

    def _that_matter(self, feature: Feature, time_ms: int) -> list[Seen]:
        """Purchases that the feature can depend on at this time."""
        lines = self.by_outcome.values()
        if feature.aggregate is Aggregate.AGE:
            return [seen for line in lines for seen in line.seen[:1]]
        if feature.aggregate is Aggregate.SINCE:
            return [seen for line in lines for seen in line.between(-1, time_ms)[-1:]]
        return [seen for line in lines for seen in line.between(time_ms - _reach_ms(feature), time_ms)]

    def _that_clear(self, feature: Feature, time_ms: int) -> list[Seen]:
        """Purchases that can be in the feature's window at the newest one's time or after it."""
        counted = [line for outcome, line in self.by_outcome.items() if feature.outcome in (None, outcome)]
        newest_ms = max([time_ms, *(line.times[-1] for line in counted if line.times)])
        return [seen for line in counted for seen in line.between(newest_ms - _reach_ms(feature), newest_ms)]


def _reach_ms(feature: Feature) -> int:
    return feature.window.length_ms if isinstance(feature.window, Trailing) else _PERIOD_MS
