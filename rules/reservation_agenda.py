"""When the reservations of accounts are to be looked through: exactly where that is soon, else by spans of time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from rules.account import Account
from rules.account_rows import TIME, looked_at_ms

NEVER_MS: Final = 2**63 - 1
# A span has this many milliseconds as a power of two: 17 minutes.
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
        self._later: dict[int, list[Account]] = {}
        # Which spans these are, in order.
        self._spans: list[int] = []
        # How many entries there are, those that are out of date among them.
        self.count = 0
        self.next_ms = NEVER_MS

    def enter(self, account: Account, at_ms: int) -> None:
        """An account's rows are to be looked through at this time, as they say."""
        self.count += 1
        if at_ms < self.next_ms:
            self.next_ms = at_ms
        span = at_ms >> _SPAN_BITS
        if span > self._soon_until:
            accounts = self._later.get(span)
            if accounts is None:
                self._later[span] = [account]
                heappush(self._spans, span)
            else:
                accounts.append(account)
        else:
            heappush(self._soon, _entry(account, at_ms))

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
        later = {span: _current_in(span, accounts) for span, accounts in self._later.items()}
        self._later = {span: accounts for span, accounts in later.items() if accounts}
        self._spans = sorted(self._later)
        self.count = len(self._soon) + sum(map(len, self._later.values()))

    def _come_to(self, now_ms: int) -> None:
        """Bring the spans that have begun into order."""
        span = now_ms >> _SPAN_BITS
        if span <= self._soon_until:
            return
        self._soon_until = span
        while self._spans and self._spans[0] <= span:
            begun = heappop(self._spans)
            accounts = self._later.pop(begun)
            current = _current_in(begun, accounts)
            self.count -= len(accounts) - len(current)
            self._soon += [_entry(account, looked_at_ms(account.rows)) for account in current]
        heapify(self._soon)

    def _next_ms(self) -> int:
        first_ms = looked_at_ms(self._soon[0]) if self._soon else NEVER_MS
        return min(first_ms, self._spans[0] << _SPAN_BITS) if self._spans else first_ms

    def _current(self, entry: bytes) -> Account | None:
        """The account of what was entered; None where it is out of date."""
        account = self._find(entry[TIME.size :].decode())
        return account if account is not None and account.rows[: TIME.size] == entry[: TIME.size] else None


def _current_in(span: int, accounts: list[Account]) -> list[Account]:
    """Those accounts, each once, whose rows are to be looked through in a span."""
    return [each for each in dict.fromkeys(accounts) if each.rows and looked_at_ms(each.rows) >> _SPAN_BITS == span]


def _entry(account: Account, at_ms: int) -> bytes:
    return _pack_time(at_ms) + account.account_id.encode()
