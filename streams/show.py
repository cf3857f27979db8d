"""How decisions look to people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from models.decision import Action, Decision, Reason
from models.money import format_minor
from streams.wording import reason_words

STYLES: Final = {Action.APPROVE: "green", Action.FLAG: "yellow", Action.BLOCK: "bold red"}
_ACCOUNT_CHARS: Final = 18

# The currency of a ruleset by its reference, `id@version`; None where it is not known.
CurrencyOf = Callable[[str], str | None]


def decision_line(decision: Decision, currency_of: CurrencyOf) -> Text:
    """One decision for one line: when (UTC), what, for whom, how much, why and, where it is degraded, how it came."""
    action = Action(decision.action)
    at = datetime.fromtimestamp(decision.event_time / 1000, UTC).strftime("%m-%d %H:%M:%SZ")
    line = Text()
    line.append(at, "dim").append("  ")
    line.append(f"{action.value:<7}", STYLES[action]).append("  ")
    line.append(f"{shortened(decision.account_id):<9}")
    line.append(f"{format_minor(decision.amount, decision.currency):>16}  ", "bold")
    currency = currency_of(f"{decision.ruleset}@{decision.ruleset_version}")
    line.append("; ".join(reason_text(reason, currency) for reason in telling_first(decision)))
    if decision.degraded:
        line.append(f"  {', '.join(decision.degraded)}", "yellow")
    if decision.late:
        line.append("  late", "dim")
    return line


def reason_text(reason: Reason, currency: str | None) -> str:
    """A reason in short: its code, and what was observed against what was allowed."""
    words = reason_words(reason, currency)
    return f"{reason.code} ({words})" if words else reason.code


def telling_first(decision: Decision) -> list[Reason]:
    """The reasons of a decision, first those that made it what it is."""
    return sorted(decision.reasons, key=lambda reason: reason.action != decision.action)


def shortened(account_id: str) -> str:
    """An account's id, cut where it is long."""
    return account_id if len(account_id) <= _ACCOUNT_CHARS else account_id[: _ACCOUNT_CHARS - 1] + "…"
