"""The four rules of `account-only.yaml` for Quix Streams: written out by hand, over a log that its state holds.

As in `bench.least`, amounts are converted by floating point and nothing is validated. Unlike there, the log is read
from the state and written back for each purchase, and what has left the longest window is dropped from it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Protocol

from bench.least import DAY_MS, MINUTE_MS, RATES

_LOG = "log"


class AccountState(Protocol):
    """What Quix Streams keeps of one account: JSON values by name."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default."""
        ...

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        ...


def decide(purchase: dict[str, Any], state: AccountState) -> dict[str, Any]:
    """The decision on a purchase, which enters its account's log: two lists of one length, times and amounts."""
    time_ms, amount = purchase["event_time"], int(purchase["amount"] * RATES[purchase["currency"]])
    log: tuple[list[int], list[int]] | None = state.get(_LOG)
    times, amounts = log or ([], [])
    gone = bisect_right(times, time_ms - DAY_MS)
    if gone:
        del times[:gone], amounts[:gone]
    times.append(time_ms)
    amounts.append(amount)
    state.set(_LOG, (times, amounts))
    recent = bisect_right(times, time_ms - 10 * MINUTE_MS)
    blocks: list[str] = []
    flags: list[str] = []
    if len(times) - recent > 5:
        blocks.append("BURST")
    if sum(amounts[recent:]) > 1_000_000:
        blocks.append("SHORT_TERM_LIMIT")
    if len(times) > 40:
        flags.append("MANY_A_DAY")
    if sum(amounts) > 2_000_000 and amount > 100_000:
        flags.append("DAY_LIMIT")
    return {
        "transaction_id": purchase["transaction_id"],
        "account_id": purchase["account_id"],
        "action": "block" if blocks else "flag" if flags else "approve",
        "reasons": blocks + flags,
        "amount": purchase["amount"],
        "currency": purchase["currency"],
        "event_time": purchase["event_time"],
    }
