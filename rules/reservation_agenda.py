"""When the reservations of accounts are to be looked through: exactly where that is soon, else by spans of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from rules.account import Account
from rules.account_rows import TIME, looked_at_ms
from rules.spans import NEVER_MS, Spans

# 17 minutes, as `Spans` has them.
_SPAN_BITS: Final = 20
_pack_time = TIME.pack


class Agenda:
    """Accounts by the time at which their rows are looked through, as these say it.

    What was entered with another time than its account's rows say by now is out of date. Nothing is due before the
    event time `next_ms`.
    """

    def __init__(self, find: Callable[[str], Account | None]) -> None:
        self._find = find
        # In order: when, and which account. As bytes they are a fraction of what tuples would be.
        self._soon: list[bytes] = []
        # Until which span accounts are in order already. Those of later ones lie there as they came: most reservations
        # are kept for long, and come due long after their account has bought again.
        self._soon_until = -1
        self._later = Spans[Account](_SPAN_BITS)
        # How many entries there are, those that are out of date among them.
        self.count = 0
        self.next_ms = NEVER_MS

    def enter(self, account: Account, at_ms: int) -> None:
        """An account's rows are to be looked through at this time, as they say."""
        self.count += 1
        if at_ms < self.next_ms:
            self.next_ms = at_ms
        if at_ms >> _SPAN_BITS > self._soon_until:
            self._later.enter(account, at_ms)
        else:
            heappush(self._soon, _entry(account, at_ms))

    def begin_with(self, accounts: Sequence[Account], times_ms: Sequence[int]) -> None:
        """Enter many accounts, before time has passed and anything else was entered."""
        self._later.enter_all(accounts, times_ms)
        self.count = len(accounts)
        self.next_ms = min(times_ms, default=NEVER_MS)

    def first(self, now_ms: int) -> Account | None:
        """The account that is to be looked through first, by time and then by its id, if any is by now."""
        self._come_to(now_ms)
        soon = self._soon
        while soon and looked_at_ms(soon[0]) <= now_ms:
            account = self._current(soon[0])
            if account is not None:
                self.next_ms = looked_at_ms(soon[0])
                return account
            heappop(soon)
            self.count -= 1
        self.next_ms = self._next_ms()
        return None

    def tidy(self) -> None:
        """Forget what is out of date."""
        self._soon = [entry for entry in {*self._soon} if self._current(entry) is not None]
        heapify(self._soon)
        self._later.keep_only(_current_in)
        self.count = len(self._soon) + len(self._later)

    def _come_to(self, now_ms: int) -> None:
        """Bring the spans that have begun into order."""
        span = self._later.span_of(now_ms)
        if span <= self._soon_until:
            return
        self._soon_until = span
        for begun, accounts in self._later.take_until(span):
            current = _current_in(begun, accounts)
            self.count -= len(accounts) - len(current)
            self._soon += [_entry(account, looked_at_ms(account.rows)) for account in current]
        heapify(self._soon)

    def _next_ms(self) -> int:
        first_ms = looked_at_ms(self._soon[0]) if self._soon else NEVER_MS
        return min(first_ms, self._later.begins_ms)

    def _current(self, entry: bytes) -> Account | None:
        """The account of what was entered; None where it is out of date."""
        account = self._find(entry[TIME.size :].decode())
        return account if account is not None and account.rows[: TIME.size] == entry[: TIME.size] else None


def _current_in(span: int, accounts: list[Account]) -> list[Account]:
    """Those accounts, each once, whose rows are to be looked through in a span."""
    return [each for each in dict.fromkeys(accounts) if each.rows and looked_at_ms(each.rows) >> _SPAN_BITS == span]


def _entry(account: Account, at_ms: int) -> bytes:
    return _pack_time(at_ms) + account.account_id.encode()
