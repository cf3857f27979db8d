"""What desks have decided, counted: for whoever tells others how it goes."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from models.decision import Action, Decision

# Whether a rule is in force, or only says what it would do.
Mode = Literal["live", "shadow"]


class Tally:
    """Decisions made since the last `clear`; repeats of earlier ones are counted apart.

    `plain` are approvals of which no rule said anything. `actions` counts the others.
    """

    def __init__(self) -> None:
        self.plain = 0
        self.repeats = 0
        self.late = 0
        self.actions: Counter[str] = Counter()
        self.rule_hits: Counter[tuple[str, Mode]] = Counter()

    def note(self, decision: Decision) -> None:
        """Count a decision of which there is more to tell than of a plain approval."""
        self.actions[decision.action] += 1
        self.late += decision.late
        for reason in decision.reasons:
            self.rule_hits[reason.rule, "live"] += 1
        for reason in decision.shadow:
            self.rule_hits[reason.rule, "shadow"] += 1

    def by_action(self) -> Counter[str]:
        """How many decisions there were, by what they say."""
        return self.actions + Counter({str(Action.APPROVE): self.plain})

    def clear(self) -> None:
        """Begin to count anew."""
        self.plain = self.repeats = self.late = 0
        self.actions.clear()
        self.rule_hits.clear()
