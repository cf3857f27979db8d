"""The least code that decides by the benchmark's rules: written out by hand, on plain dicts and lists.

No validation, no late or out-of-order purchases, no rule language; amounts by floating point. It is what somebody
writes for one measurement, and the lower bound of what the job can cost in Python. Started by `bench.bare_loop`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import orjson

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
RATES = {"CNY": 1.0, "USD": 7.1}


class Log:
    """One entity's purchases: times, running sums, accounts."""

    __slots__ = ("accounts", "sums", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.sums: list[int] = [0]
        self.accounts: list[str] = []

    def add(self, time_ms: int, amount: int, account: str) -> None:
        """Enter a purchase at the end."""
        self.times.append(time_ms)
        self.sums.append(self.sums[-1] + amount)
        self.accounts.append(account)

    def count(self, time_ms: int, window_ms: int) -> int:
        """Purchases in the window."""
        return len(self.times) - bisect_right(self.times, time_ms - window_ms)

    def sum(self, time_ms: int, window_ms: int) -> int:
        """Their amounts."""
        return self.sums[-1] - self.sums[bisect_right(self.times, time_ms - window_ms)]

    def distinct(self, time_ms: int, window_ms: int) -> int:
        """Their accounts."""
        return len(set(self.accounts[bisect_right(self.times, time_ms - window_ms) :]))


Logs = dict[str, Log]


def _log(logs: Logs, key: str) -> Log:
    log = logs.get(key)
    if log is None:
        log = logs[key] = Log()
    return log


def account_only() -> Callable[[dict[str, Any]], tuple[str, list[str]]]:
    """The four rules of `account-only.yaml`."""
    logs: Logs = {}

    def decide(purchase: dict[str, Any]) -> tuple[str, list[str]]:
        time_ms, amount = purchase["event_time"], int(purchase["amount"] * RATES[purchase["currency"]])
        log = _log(logs, purchase["account_id"])
        log.add(time_ms, amount, "")
        blocks: list[str] = []
        flags: list[str] = []
        if log.count(time_ms, 10 * MINUTE_MS) > 5:
            blocks.append("BURST")
        if log.sum(time_ms, 10 * MINUTE_MS) > 1_000_000:
            blocks.append("SHORT_TERM_LIMIT")
        if log.count(time_ms, DAY_MS) > 40:
            flags.append("MANY_A_DAY")
        if log.sum(time_ms, DAY_MS) > 2_000_000 and amount > 100_000:
            flags.append("DAY_LIMIT")
        return ("block" if blocks else "flag" if flags else "approve"), blocks + flags

    return decide


# One long function: what somebody writes who wants it fast.
def all_entities() -> Callable[[dict[str, Any]], tuple[str, list[str]]]:  # noqa: C901
    """The twelve rules of `twelve-rules.yaml`."""
    accounts: Logs = {}
    approved: Logs = {}
    devices: Logs = {}
    ips: Logs = {}
    merchants: Logs = {}

    def decide(purchase: dict[str, Any]) -> tuple[str, list[str]]:  # noqa: C901
        time_ms, amount = purchase["event_time"], int(purchase["amount"] * RATES[purchase["currency"]])
        account_id = purchase["account_id"]
        blocks: list[str] = []
        flags: list[str] = []
        account = _log(accounts, account_id)
        account.add(time_ms, amount, purchase["merchant_id"])
        if account.count(time_ms, 10 * MINUTE_MS) > 5:
            blocks.append("ACCOUNT_BURST")
        if account.sum(time_ms, 10 * MINUTE_MS) > 1_000_000:
            blocks.append("ACCOUNT_SUM_10M")
        if account.count(time_ms, DAY_MS) > 40:
            flags.append("ACCOUNT_DAY_COUNT")
        good = _log(approved, account_id)
        if good.sum(time_ms, DAY_MS) + amount > 2_000_000:
            flags.append("ACCOUNT_DAY_SUM")
        if account.distinct(time_ms, HOUR_MS) >= 6:
            flags.append("ACCOUNT_MERCHANTS")
        device_id, ip = purchase.get("device_id"), purchase.get("ip")
        if device_id is not None:
            device = _log(devices, device_id)
            device.add(time_ms, amount, account_id)
            if device.count(time_ms, 10 * MINUTE_MS) > 5:
                blocks.append("DEVICE_BURST")
            if device.distinct(time_ms, HOUR_MS) >= 3:
                blocks.append("DEVICE_ACCOUNTS")
            if device.sum(time_ms, DAY_MS) > 3_000_000:
                flags.append("DEVICE_DAY_SUM")
        if ip is not None:
            address = _log(ips, ip)
            address.add(time_ms, amount, account_id)
            if address.count(time_ms, MINUTE_MS) > 10:
                flags.append("IP_BURST")
            if address.distinct(time_ms, HOUR_MS) >= 5:
                flags.append("IP_ACCOUNTS")
        merchant = _log(merchants, purchase["merchant_id"])
        merchant.add(time_ms, amount, "")
        total, count = merchant.sum(time_ms, HOUR_MS), merchant.count(time_ms, HOUR_MS)
        if total > 10_000_000 and total / count > 80_000:
            flags.append("MERCHANT_SUM")
        if time_ms - merchant.times[0] < HOUR_MS and amount > 200_000:
            flags.append("MERCHANT_NEW_LARGE")
        if not blocks:
            good.add(time_ms, amount, "")
        return ("block" if blocks else "flag" if flags else "approve"), blocks + flags

    return decide


def decider(rule_file: str) -> Callable[[bytes], bytes]:
    """The rules of a file, as a function from a purchase's bytes to its decision's."""
    decide = {"account-only.yaml": account_only, "twelve-rules.yaml": all_entities}[rule_file]()

    def answer(raw: bytes) -> bytes:
        purchase = orjson.loads(raw)
        action, reasons = decide(purchase)
        return orjson.dumps(
            {
                "transaction_id": purchase["transaction_id"],
                "account_id": purchase["account_id"],
                "action": action,
                "reasons": reasons,
                "amount": purchase["amount"],
                "currency": purchase["currency"],
                "event_time": purchase["event_time"],
            }
        )

    return answer
