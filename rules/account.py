"""What the desk knows of an account beside its purchases: its credit, its habits, its latest purchase."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from rules.anomaly import Profile
from rules.credit import Credit

_ACCOUNT: Final = b"A"
_PROFILE: Final = b"P"


class Account:
    """One account. `latest_ms` is the event time of its newest purchase, 0 before the first."""

    __slots__ = ("credit", "latest_ms", "profile")

    def __init__(self) -> None:
        self.credit = Credit()
        self.profile = Profile()
        self.latest_ms = 0


class Accounts:
    """The accounts of one fold, with what changed in them since it was last asked.

    An account is small and is kept for good: its credit can't be forgotten.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._dirty: OrderedDict[str, None] = OrderedDict()
        self._learned: OrderedDict[str, None] = OrderedDict()

    def get(self, account_id: str) -> Account:
        """An account, new if it was never heard of."""
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = Account()
        return account

    def touch(self, account_id: str) -> None:
        """Note that an account's credit or latest purchase changed."""
        self._dirty[account_id] = None

    def learned(self, account_id: str) -> None:
        """Note that an account's profile changed."""
        self._learned[account_id] = None

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        for account_id in self._dirty:
            yield _ACCOUNT + account_id.encode(), _encode(self._accounts[account_id])
        for account_id in self._learned:
            yield _PROFILE + account_id.encode(), self._accounts[account_id].profile.encode()
        self._dirty.clear()
        self._learned.clear()

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        self._dirty.clear()
        self._learned.clear()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the accounts back from their state records."""
        for key, raw in records.items():
            if key[:1] == _ACCOUNT:
                _decode_into(self.get(key[1:].decode()), raw)
            elif key[:1] == _PROFILE:
                self.get(key[1:].decode()).profile = Profile.decode(raw)


def _encode(account: Account) -> bytes:
    credit = account.credit
    return orjson.dumps(
        [
            account.latest_ms,
            credit.used_minor,
            credit.currency,
            credit.limit_minor,
            credit.limit_currency,
            credit.limit_time_ms,
            credit.repayments,
        ]
    )


def _decode_into(account: Account, raw: bytes) -> None:
    credit = account.credit
    (
        account.latest_ms,
        credit.used_minor,
        credit.currency,
        credit.limit_minor,
        credit.limit_currency,
        credit.limit_time_ms,
        credit.repayments,
    ) = orjson.loads(raw)
