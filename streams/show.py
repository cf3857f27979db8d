"""How decisions look to people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from models.decision import Action, Decision, Reason
from models.money import format_minor

STYLES: Final = {Action.APPROVE: "green", Action.FLAG: "yellow", Action.BLOCK: "bold red"}
_SHORT: Final = 18


def decision_line(decision: Decision) -> Text:
    """One decision on one line: when, what, for whom, how much, and why."""
    action = Action(decision.action)
    at = datetime.fromtimestamp(decision.event_time / 1000, UTC).strftime("%m-%d %H:%M:%S")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(at, "dim").append("  ")
    line.append(f"{action.value:<7}", STYLES[action]).append("  ")
    line.append(f"{decision.account_id[:_SHORT]:<9}")
    line.append(f"{format_minor(decision.amount, decision.currency):>16}  ", "bold")
    line.append("; ".join(reason_text(reason) for reason in decision.reasons))
    if decision.late:
        line.append(" late", "dim")
    return line


def reason_text(reason: Reason) -> str:
    """A reason in short: its code, and what was observed against what was allowed."""
    if reason.feature is None or reason.observed is None:
        return reason.code
    return f"{reason.code} ({reason.feature} = {_shown(reason.observed)}, limit {_shown(reason.threshold)})"


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
