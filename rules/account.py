"""What the desk knows of an account beside its purchases' windows: one object, so that it is looked up once."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from rules.anomaly import Profile
from rules.credit import Credit, Limit

_ACCOUNT: Final = b"A"
_PROFILE: Final = b"P"
# Newest purchase, used credit and its currency; behind them limit and repayments as JSON, where there are any.
_HEAD: Final = struct.Struct("<qq3s")


class Account(Credit):
    """One account. `latest_ms` is the event time of its newest purchase, 0 before the first.

    Others keep here what they have of the account, in bytes: `rows` is of rules/reservations.py, `decided` and
    `answered` are of rules/block_log.py.
    """

    __slots__ = ("_profile", "account_id", "answered", "decided", "latest_ms", "rows")

    def __init__(self, account_id: str) -> None:
        super().__init__()
        self.account_id = account_id
        self.latest_ms = 0
        self.rows: bytes | bytearray = b""
        self.decided = b""
        self.answered = b""
        self._profile: Profile | None = None

    @property
    def profile(self) -> Profile:
        """Its habits. They are made when they are first asked for: most rulesets never do."""
        if self._profile is None:
            self._profile = Profile()
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self._profile = profile


class Accounts:
    """The accounts of one fold, with what changed in them since it was last asked.

    An account is small and is kept for good: its credit can't be forgotten.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._dirty: dict[str, Account] = {}
        self._learned: dict[str, Account] = {}

    def get(self, account_id: str) -> Account:
        """An account, new if it was never heard of."""
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = Account(account_id)
        return account

    def find(self, account_id: str) -> Account | None:
        """An account, if it was ever heard of."""
        return self._accounts.get(account_id)

    def touch(self, account: Account) -> None:
        """Note that an account's credit or latest purchase changed."""
        self._dirty[account.account_id] = account

    def learned(self, account: Account) -> None:
        """Note that an account's profile changed."""
        self._learned[account.account_id] = account

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        for account_id, account in self._dirty.items():
            yield _ACCOUNT + account_id.encode(), _encode(account)
        for account_id, account in self._learned.items():
            yield _PROFILE + account_id.encode(), account.profile.encode()
        self.settle()

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        self._dirty.clear()
        self._learned.clear()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the accounts back from their state records."""
        for key, raw in records.items():
            kind = key[:1]
            if kind == _ACCOUNT:
                _decode_into(self.get(key[1:].decode()), raw)
            elif kind == _PROFILE:
                self.get(key[1:].decode()).profile = Profile.decode(raw)


def _encode(account: Account) -> bytes:
    head = _HEAD.pack(account.latest_ms, account.used_minor, account.currency.encode())
    if account.limit is None and not account.repayments:
        return head
    return head + orjson.dumps((tuple(account.limit) if account.limit is not None else None, account.repayments))


def _decode_into(account: Account, raw: bytes) -> None:
    account.latest_ms, account.used_minor, currency = _HEAD.unpack_from(raw)
    # One text for all accounts.
    account.currency = sys.intern(currency.rstrip(b"\0").decode())
    if len(raw) > _HEAD.size:
        limit, repayments = orjson.loads(raw[_HEAD.size :])
        account.limit = Limit(*limit) if limit is not None else None
        account.repayments = tuple(repayments)
