"""Customers that all buy equally often, by the same rules whatever their number.

How many accounts there are is to be the only thing that differs between two runs. So every account buys `rows_a_day`
times a day, in another order each time, and with ten times the accounts the day holds ten times the purchases: an
account's logs have as many rows in reach, whether it is one of a thousand or of a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

DAY_MS: Final = 86_400_000
_SEED: Final = 23
_MERCHANTS: Final = 1_009
# Below every limit of the rules that are measured: all purchases are approved, and cost alike.
_AMOUNTS_MINOR: Final = range(500, 9_500)


class Bought(NamedTuple):
    """A purchase as it is sent: its account, its event time in epoch milliseconds, its JSON."""

    account: int
    at_ms: int
    value: bytes


@dataclass(frozen=True)
class Customers:
    """`accounts` of them; their purchases are numbered from 0 on, the first at `start_ms`."""

    accounts: int
    rows_a_day: int
    start_ms: int

    @property
    def history(self) -> int:
        """How many purchases the first day has."""
        return self.accounts * self.rows_a_day

    @property
    def interval_ms(self) -> float:
        """Event time between two purchases."""
        return DAY_MS / self.history

    @classmethod
    def until(cls, accounts: int, rows_a_day: int, purchases: int, end_ms: int) -> Customers:
        """Those whose first day and `purchases` after it end at `end_ms`."""
        spans_ms = DAY_MS + purchases * DAY_MS / (accounts * rows_a_day)
        return cls(accounts, rows_a_day, end_ms - int(spans_ms))

    def purchases(self, first: int, end: int, chosen: NDArray[np.bool_] | None = None) -> Iterator[Bought]:
        """The purchases with the numbers from `first` to below `end`, in the order of their times.

        `chosen` says for each account whether its purchases are wanted, by default all are.
        """
        for turn in range(first // self.accounts, -(-end // self.accounts)):
            # Each account once in every turn.
            order = np.random.default_rng((_SEED, turn)).permutation(self.accounts)
            begin = turn * self.accounts
            numbers = np.arange(max(first, begin), min(end, begin + self.accounts))
            accounts = order[numbers - begin]
            if chosen is not None:
                numbers, accounts = numbers[chosen[accounts]], accounts[chosen[accounts]]
            for number, account in zip(numbers.tolist(), accounts.tolist(), strict=True):
                at_ms = self.start_ms + int(number * self.interval_ms)
                yield Bought(account, at_ms, _purchase(account, number, at_ms))


def account_id(account: int) -> str:
    """The id of an account."""
    return f"a-{account:07d}"


def _purchase(account: int, number: int, at_ms: int) -> bytes:
    return orjson.dumps(
        {
            "transaction_id": f"t-{number:09d}",
            "account_id": account_id(account),
            "amount": _AMOUNTS_MINOR[number * 7_919 % len(_AMOUNTS_MINOR)],
            "currency": "CNY",
            "event_time": at_ms,
            "merchant_id": f"m-{number % _MERCHANTS}",
            "mcc": "5411",
            "card_id": f"c-{account:07d}-1",
            "device_id": f"d-{account:07d}-1",
            "ip": f"10.{account >> 16 & 255}.{account >> 8 & 255}.{account & 255}",
            "country": "CN",
            "channel": "web",
        }
    )
