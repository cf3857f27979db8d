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
    """A purchase as it is sent: the number of its account, its event time in epoch milliseconds, its key and JSON."""

    account: int
    at_ms: int
    key: bytes
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

    def first_day(self, chosen: NDArray[np.bool_] | None = None) -> Iterator[Bought]:
        """The first purchases, of all accounts or of those that are chosen, in the order of their times."""
        return self._turns(0, self.history, np.arange(self.accounts), chosen)

    def purchases(self, first: int, end: int, active: NDArray[np.int64]) -> Iterator[Bought]:
        """The purchases with the numbers from `first` to below `end`, of the active accounts in turn."""
        return self._turns(first, end, active, None)

    def active(self, count: int, seed: int) -> NDArray[np.int64]:
        """Accounts drawn from all: so many, or all where there are no more."""
        draw = np.random.default_rng((_SEED, seed))
        return draw.choice(self.accounts, min(count, self.accounts), replace=False)

    def _turns(
        self, first: int, end: int, accounts: NDArray[np.int64], chosen: NDArray[np.bool_] | None
    ) -> Iterator[Bought]:
        """Each of these accounts once in every turn, in another order each time."""
        for begin in range(first, end, len(accounts)):
            numbers = np.arange(begin, min(end, begin + len(accounts)))
            buyers = np.random.default_rng((_SEED, begin)).permutation(accounts)[: len(numbers)]
            if chosen is not None:
                numbers, buyers = numbers[chosen[buyers]], buyers[chosen[buyers]]
            for number, account in zip(numbers.tolist(), buyers.tolist(), strict=True):
                at_ms = self.start_ms + int(number * self.interval_ms)
                yield Bought(account, at_ms, account_key(account), _purchase(account, number, at_ms))


def account_key(account: int) -> bytes:
    """The id of an account, as a record's key."""
    return b"a-%07d" % account


def _purchase(account: int, number: int, at_ms: int) -> bytes:
    return orjson.dumps(
        {
            "transaction_id": f"t-{number:09d}",
            "account_id": account_key(account).decode(),
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
