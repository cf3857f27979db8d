"""The accounts of one fold: found by their ids, with what changed in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import orjson

from rules.account import Account
from rules.account_records import AccountRecords
from rules.anomaly import Profile
from rules.credit import Limit

_TERMS: Final = b"T"
_PROFILE: Final = b"P"


class Accounts:
    """The accounts of one fold, with what changed in them since it was last asked.

    But for its books an account is small, and it is kept for good: its credit can't be forgotten.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._records = AccountRecords()
        # How often an account was touched before the last call for changes, and which have been since.
        self._touches = 0
        self._touched: list[Account] = []
        self._agreed: dict[str, Account] = {}
        self._learned: dict[str, Account] = {}

    def get(self, account_id: str) -> Account:
        """An account, new if it was never heard of."""
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = Account(account_id)
        return account

    def get_all(self, account_ids: Sequence[str]) -> list[Account]:
        """Accounts in the order of their ids, new where they were never heard of."""
        try:
            return [*map(self._accounts.__getitem__, account_ids)]
        except KeyError:
            for account_id in account_ids:
                if account_id not in self._accounts:
                    self._accounts[account_id] = Account(account_id)
            return [*map(self._accounts.__getitem__, account_ids)]

    def find(self, account_id: str) -> Account | None:
        """An account, if it was ever heard of."""
        return self._accounts.get(account_id)

    def touch(self, account: Account) -> None:
        """Note that an account's used credit or latest purchase changed."""
        self._touched.append(account)

    def agreed(self, account: Account) -> None:
        """Note that an account's limit or repayments changed."""
        self._agreed[account.account_id] = account

    def learned(self, account: Account) -> None:
        """Note that an account's profile changed."""
        self._learned[account.account_id] = account

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        if self._touched:
            changed = [*dict.fromkeys(self._touched)]
            yield from self._records.changes(changed, self._touches + len(self._touched))
        for account_id, account in self._agreed.items():
            terms = (tuple(account.limit) if account.limit is not None else None, account.repayments)
            yield _TERMS + account_id.encode(), orjson.dumps(terms)
        for account_id, account in self._learned.items():
            yield _PROFILE + account_id.encode(), account.profile.encode()
        self.settle()

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        self._touches += len(self._touched)
        self._touched = []
        self._agreed.clear()
        self._learned.clear()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the accounts back from their state records."""
        self._touches = self._records.restore(records, self.get_all)
        for key, raw in records.items():
            kind = key[:1]
            if kind == _TERMS:
                account = self.get(key[1:].decode())
                limit, repayments = orjson.loads(raw)
                account.limit = Limit(*limit) if limit is not None else None
                account.repayments = tuple(repayments)
            elif kind == _PROFILE:
                self.get(key[1:].decode()).profile = Profile.decode(raw)
