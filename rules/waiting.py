"""Settlements that came before their purchase was decided, or allowed: kept in order for a while, bounded."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import Final, NamedTuple

# How long a settlement waits, in event time; how many of one account, and how many of a partition.
WAIT_MS: Final = 86_400_000
WAIT_PER_ACCOUNT: Final = 64
WAIT_IN_ALL: Final = 10_000
NEVER_MS: Final = 2**63 - 1

_WAITING: Final = b"V"
_NUMBER: Final = struct.Struct(">I")
# Until when, and the transaction; the settlement's text is behind it.
_HEAD: Final = struct.Struct("<q8s")


class Waiting(NamedTuple):
    """A settlement that waits: its JSON, and the number by which those of its account are in order."""

    account_id: str
    number: int
    until_ms: int
    transaction: bytes
    text: bytes


class WaitingRoom:
    """All settlements of one fold that wait, `count` of them, with what changed in them since it was last asked."""

    def __init__(self) -> None:
        self._by_account: dict[str, list[Waiting]] = {}
        # (until, account, number); those that are gone are passed over, and are never more than those that wait.
        self._agenda: list[tuple[int, str, int]] = []
        self.count = 0
        self._written: dict[bytes, bytes | None] = {}

    @property
    def next_ms(self) -> int:
        """Before this event time nobody has waited long enough."""
        return self._agenda[0][0] if self._agenda else NEVER_MS

    def waiting_for(self, account_id: str, transaction: bytes) -> list[Waiting]:
        """Those that wait for a transaction, in the order in which they came."""
        return [one for one in self._by_account.get(account_id, ()) if one.transaction == transaction]

    def add(self, account_id: str, transaction: bytes, text: bytes, until_ms: int) -> Waiting | None:
        """Keep a settlement; returns the one that has to go for it, where there are too many."""
        others = self._by_account.setdefault(account_id, [])
        gone: Waiting | None = None
        if len(others) >= WAIT_PER_ACCOUNT:
            gone = min(others, key=lambda one: (one.until_ms, one.number))
        elif self.count >= WAIT_IN_ALL:
            gone = self._first()
        one = Waiting(account_id, others[-1].number + 1 if others else 0, until_ms, transaction, text)
        self._enter(one)
        heappush(self._agenda, (until_ms, account_id, one.number))
        self._written[_key(one)] = _HEAD.pack(until_ms, transaction) + text
        if gone is not None:
            self._leave(gone)
        return gone

    def take(self, account_id: str, transaction: bytes) -> list[Waiting]:
        """Those that wait for a transaction, in the order in which they came; they wait no more."""
        called = self.waiting_for(account_id, transaction)
        for one in called:
            self._leave(one)
        return called

    def due(self, now_ms: int) -> Waiting | None:
        """The one that has waited long enough by now, if any; it waits no more."""
        first = self._first()
        if first is None or first.until_ms > now_ms:
            return None
        self._leave(first)
        return first

    def _first(self) -> Waiting | None:
        """The one whose time ends first."""
        while self._agenda:
            until_ms, account_id, number = self._agenda[0]
            for one in self._by_account.get(account_id, ()):
                if one.number == number and one.until_ms == until_ms:
                    return one
            heappop(self._agenda)
        return None

    def _enter(self, one: Waiting) -> None:
        self._by_account.setdefault(one.account_id, []).append(one)
        self.count += 1

    def _leave(self, one: Waiting) -> None:
        others = self._by_account[one.account_id]
        others.remove(one)
        if not others:
            del self._by_account[one.account_id]
        self.count -= 1
        self._written[_key(one)] = None
        if len(self._agenda) > 2 * self.count:
            self._agenda = [(each.until_ms, each.account_id, each.number) for each in self._all()]
            heapify(self._agenda)

    def _all(self) -> Iterator[Waiting]:
        return chain.from_iterable(self._by_account.values())

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        written, self._written = self._written, {}
        return iter(written.items())

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take back who waits from the state records."""
        for key in sorted(key for key in records if key[:1] == _WAITING):
            raw, account_id = records[key], key[1 : -_NUMBER.size].decode()
            until_ms, transaction = _HEAD.unpack_from(raw)
            (number,) = _NUMBER.unpack(key[-_NUMBER.size :])
            one = Waiting(account_id, number, until_ms, transaction, raw[_HEAD.size :])
            self._enter(one)
            self._agenda.append((until_ms, account_id, number))
        heapify(self._agenda)


def _key(one: Waiting) -> bytes:
    return _WAITING + one.account_id.encode() + _NUMBER.pack(one.number)
