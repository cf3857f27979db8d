"""The reservations of one desk: found by account and transaction, told when they are due, bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from models.fields import MAX_EVENT_TIME_MS
from rules.account import Account
from rules.account_rows import (
    FEW_BYTES,
    ROW_BYTES,
    TIME,
    due_at,
    first_due,
    looked_at,
    looked_at_ms,
    offset_of,
    offsets,
    row_at,
    transaction_at,
    with_row,
    with_row_at,
    without_row,
)
from rules.accounts import Accounts
from rules.plan import RulesetPlan
from rules.reservation import Reservation, State
from rules.reservation_records import ReservationRecords, block_of
from rules.reservation_rows import (
    BEGUN,
    DUE,
    DUE_AT,
    EXPIRES,
    MARK_AT,
    OWN_RECORD,
    TRANSACTION_BYTES,
    UNRECKONED,
    WAS_DECLINED,
    pack_row,
    pack_tail,
    state_of,
    unpack,
)
from rules.velocity import Subject

DAY_MS: Final = 86_400_000
# What is reserved, captured or declined is known for so long, so that it can be settled.
KEEP_MS: Final = 180 * DAY_MS
# What is over is known for so long, so that a repeat is answered.
KEEP_SETTLED_MS: Final = DAY_MS
KEEP_PER_ACCOUNT: Final = 512

# How far an account that has too many is brought below the bound, so that it is looked through once in many purchases.
_SLACK: Final = 8
# Which go first where there are too many: what only answers repeats, and last what still uses credit.
_RANK: Final = {
    State.VOIDED: 0,
    State.EXPIRED: 0,
    State.REFUNDED: 0,
    State.DECLINED: 1,
    State.CAPTURED: 2,
    State.RESERVED: 3,
}
_DECLINED: Final = State.DECLINED | WAS_DECLINED
_BEGUN: Final = int(State.RESERVED)
_NEVER_MS: Final = 2**63 - 1
_pack_time = TIME.pack
_unpack_time = TIME.unpack_from
_pack_begun = BEGUN.pack


class Reservations:
    """All reservations of one fold. Before the event time `next_ms` nothing is due.

    Of what is due, what is due first is told first, then by account and by transaction: the order depends on the
    reservations alone.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        # Of accounts that have any: what has no fixed size, by transaction.
        self._tails: dict[str, dict[bytes, bytes]] = {}
        # When, and which account: those whose rows are to be looked through. An entry that says another time than
        # its account does is out of date. As bytes they are in order, and a fraction of what tuples would be.
        self._agenda: list[bytes] = []
        # How many accounts have rows.
        self._holding = 0
        self.next_ms = _NEVER_MS
        self._records = ReservationRecords(self._part)

    def begin(
        self, account: Account, plan: RulesetPlan, subject: Subject, *, declined: bool, unreckoned: bool = False
    ) -> bool:
        """Begin with a purchase that was just decided; False, and nothing is done, where it was begun before.

        It is `unreckoned` where it takes no credit for want of a rate.
        """
        purchase, amount_minor, transaction, _ = subject
        rows = account.rows
        if transaction in rows and offset_of(rows, transaction) >= 0:
            return False
        mark, due_ms, tail = _DECLINED if declined else _BEGUN, purchase.event_time + KEEP_MS, b""
        if plan.expire_after_ms is not None and not declined:
            mark, due_ms = mark | EXPIRES, min(purchase.event_time + plan.expire_after_ms, MAX_EVENT_TIME_MS)
            tail = purchase.transaction_id.encode()
            self._tails.setdefault(account.account_id, {})[transaction] = tail
        begun = _pack_begun(
            transaction,
            due_ms,
            mark | UNRECKONED if unreckoned else mark,
            purchase.currency.encode(),
            plan.currency.encode(),
            purchase.amount,
            amount_minor,
        )
        row = self._records.begin(account.account_id, begun, tail)
        if not rows:
            self._holding += 1
            account.rows = _pack_time(due_ms) + row
            self._enter(account, due_ms)
            return True
        account.rows = rows = rows + row if len(rows) < FEW_BYTES else with_row(rows, row)
        if due_ms < _unpack_time(rows)[0]:
            self._look_at(account, due_ms)
        if len(rows) // ROW_BYTES > KEEP_PER_ACCOUNT:
            self._shorten(account)
        return True

    def find(self, account_id: str, transaction: bytes) -> Reservation | None:
        """The reservation of a transaction, while it is known."""
        account = self.accounts.find(account_id)
        offset = offset_of(account.rows, transaction) if account is not None else -1
        return self._at(account, offset) if account is not None and offset >= 0 else None

    def put(self, account_id: str, reservation: Reservation) -> None:
        """Replace a reservation that is there by what became of it."""
        account = self.accounts.get(account_id)
        rows, offset = account.rows, offset_of(account.rows, reservation.transaction)
        before = row_at(rows, offset)
        row, tail = pack_row(reservation, block_of(before)), pack_tail(reservation)
        account.rows = with_row_at(rows, offset, row)
        self._forget_tail(account_id, reservation.transaction)
        if tail:
            self._tails.setdefault(account.account_id, {})[reservation.transaction] = tail
        self._records.change(account_id, before, row, tail)
        if reservation.due_ms < looked_at_ms(rows):
            self._look_at(account, reservation.due_ms)

    def due(self, now_ms: int) -> tuple[str, Reservation] | None:
        """The reservation that is due first, with its account, if any is by now; to be put later, or dropped."""
        agenda = self._agenda
        while agenda and (at_ms := looked_at_ms(agenda[0])) <= now_ms:
            account = self.accounts.find(agenda[0][TIME.size :].decode())
            if account is None or not account.rows or looked_at_ms(account.rows) != at_ms:
                heappop(agenda)
                continue
            offset = first_due(account.rows)
            due_ms, _ = due_at(account.rows, offset)
            if due_ms == at_ms:
                self.next_ms = at_ms
                return account.account_id, self._at(account, offset)
            account.rows = looked_at(account.rows, due_ms)
            heapreplace(agenda, _entry(account, due_ms))
        self.next_ms = looked_at_ms(agenda[0]) if agenda else _NEVER_MS
        return None

    def due_of(self, account_id: str, now_ms: int) -> list[Reservation]:
        """The reservations of an account that are due by now, each to be put later, or dropped."""
        account = self.accounts.find(account_id)
        if account is None or not account.rows or looked_at_ms(account.rows) > now_ms:
            return []
        due = sorted((*due_at(account.rows, offset), offset) for offset in offsets(account.rows))
        return [self._at(account, offset) for due_ms, _, offset in due if due_ms <= now_ms]

    def drop(self, account_id: str, transaction: bytes) -> None:
        """Forget a reservation that is there."""
        account = self.accounts.get(account_id)
        self._drop(account, offset_of(account.rows, transaction))

    def _at(self, account: Account, offset: int) -> Reservation:
        tails = self._tails.get(account.account_id)
        tail = tails.get(transaction_at(account.rows, offset), b"") if tails is not None else b""
        return unpack(account.rows, tail, offset)

    def _drop(self, account: Account, offset: int) -> None:
        row = row_at(account.rows, offset)
        self._forget_tail(account.account_id, row[:TRANSACTION_BYTES])
        account.rows = without_row(account.rows, offset)
        if not account.rows:
            self._holding -= 1
        self._records.drop(account.account_id, row)

    def _forget_tail(self, account_id: str, transaction: bytes) -> None:
        tails = self._tails.get(account_id)
        if tails is not None and tails.pop(transaction, None) is not None and not tails:
            del self._tails[account_id]

    def _shorten(self, account: Account) -> None:
        """Forget the oldest of an account that has too many, what still uses credit last."""
        rows = account.rows

        def order(offset: int) -> tuple[int, tuple[int, bytes]]:
            return _RANK[state_of(rows[offset + MARK_AT])], due_at(rows, offset)

        going = sorted(offsets(rows), key=order)[: KEEP_PER_ACCOUNT // _SLACK]
        for offset in sorted(going, reverse=True):
            self._drop(account, offset)

    def _part(self, account_id: str, block: int) -> Iterator[tuple[bytes, bytes]]:
        """The rows of an account that only a block tells of, with their tails; they have their own records now."""
        account = self.accounts.get(account_id)
        rows, tails = bytearray(account.rows), self._tails.get(account_id, {})
        for offset in offsets(rows):
            row = row_at(rows, offset)
            if block_of(row) == block and not row[MARK_AT] & OWN_RECORD:
                rows[offset + MARK_AT] |= OWN_RECORD
                yield row_at(rows, offset), tails.get(row[:TRANSACTION_BYTES], b"")
        account.rows = rows if isinstance(account.rows, bytearray) else bytes(rows)

    def _look_at(self, account: Account, at_ms: int) -> None:
        account.rows = looked_at(account.rows, at_ms)
        self._enter(account, at_ms)

    def _enter(self, account: Account, at_ms: int) -> None:
        heappush(self._agenda, _entry(account, at_ms))
        if len(self._agenda) > 2 * self._holding:
            self._agenda = [entry for entry in {*self._agenda} if self._is_current(entry)]
            heapify(self._agenda)
        if at_ms < self.next_ms:
            self.next_ms = at_ms

    def _is_current(self, entry: bytes) -> bool:
        account = self.accounts.find(entry[TIME.size :].decode())
        return account is not None and account.rows[: TIME.size] == entry[: TIME.size]

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        return self._records.changes()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the reservations back from their state records."""
        holding = dict[Account, int]()
        for account, row, tail in self._records.restore(records, self.accounts.get):
            rows, (due_ms,) = account.rows, DUE.unpack_from(row, DUE_AT)
            if not rows:
                holding[account] = due_ms
                rows = _pack_time(0)
            elif offset_of(rows, row[:TRANSACTION_BYTES]) >= 0:
                # A worker that had lost the partition may have written it in another block.
                continue
            if due_ms < holding[account]:
                holding[account] = due_ms
            account.rows = rows + row if len(rows) < FEW_BYTES else with_row(rows, row)
            if tail:
                self._tails.setdefault(account.account_id, {})[row[:TRANSACTION_BYTES]] = tail
        for account, due_ms in holding.items():
            account.rows = looked_at(account.rows, due_ms)
            self._agenda.append(_entry(account, due_ms))
        heapify(self._agenda)
        self._holding = len(holding)
        self.next_ms = looked_at_ms(self._agenda[0]) if self._agenda else _NEVER_MS


def _entry(account: Account, at_ms: int) -> bytes:
    return _pack_time(at_ms) + account.account_id.encode()
