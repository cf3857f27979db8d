"""The reservations of one desk: found by account and transaction, told when they are due, bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from rules.reservation_agenda import Agenda
from rules.reservation_records import ReservationRecords, block_of
from rules.reservation_rows import (
    EXPIRES,
    MARK_AT,
    OWN_RECORD,
    ROW,
    TRANSACTION_BYTES,
    UNRECKONED,
    WAS_DECLINED,
    pack_row,
    pack_tail,
    state_of,
    unpack,
)
from rules.reservation_state import record_key
from rules.reservations_read_back import ReadBack
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
_pack_time = TIME.pack
_unpack_time = TIME.unpack_from
_pack_row = ROW.pack


class Reservations:
    """All reservations of one fold. Before the event time `next_ms` nothing is due.

    Of what is due, what is due first is told first, then by account and by transaction: the order depends on the
    reservations alone.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        # What has no fixed size, of those that have any, by the keys of their state records.
        self._tails: dict[bytes, bytes] = {}
        self._agenda = Agenda(accounts.find)
        # How many accounts have rows.
        self._holding = 0
        self._records = ReservationRecords(self._part)

    @property
    def next_ms(self) -> int:
        """The event time before which nothing is due."""
        return self._agenda.next_ms

    def begin(
        self, account: Account, plan: RulesetPlan, subject: Subject, *, declined: bool, unreckoned: bool = False
    ) -> bool:
        """Begin with a purchase that was just decided; False, and nothing is done, where it was begun before.

        It is `unreckoned` where it takes no credit for want of a rate.
        """
        purchase, amount_minor, transaction, _ = subject
        rows, records, event_time_ms = account.rows, self._records, purchase.event_time
        # Nearly always there is no such transaction, which is found sooner than where it is.
        if rows.find(transaction) >= 0 and offset_of(rows, transaction) >= 0:
            return False
        mark, due_ms, tail = _DECLINED if declined else _BEGUN, event_time_ms + KEEP_MS, ""
        if plan.expire_after_ms is not None and not declined:
            mark, due_ms = mark | EXPIRES, min(event_time_ms + plan.expire_after_ms, MAX_EVENT_TIME_MS)
            tail = purchase.transaction_id
            self._tails[record_key(account.account_id, transaction)] = tail.encode()
        row = _pack_row(
            transaction,
            due_ms,
            mark | UNRECKONED if unreckoned else mark,
            (purchase.currency + plan.currency).encode(),
            purchase.amount,
            amount_minor,
            records.next_block,
        )
        row = records.begin(account, row, tail)
        if not rows:
            self._holding += 1
            account.rows = _pack_time(due_ms) + row
            self._agenda.enter(account, due_ms)
            return True
        if len(rows) < FEW_BYTES:
            account.rows = rows = rows + row
        else:
            account.rows = rows = with_row(rows, row)
            if len(rows) // ROW_BYTES > KEEP_PER_ACCOUNT:
                self._shorten(account)
        if due_ms < _unpack_time(rows)[0]:
            self._look_at(account, due_ms)
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
        key = record_key(account_id, reservation.transaction)
        if tail:
            self._tails[key] = tail
        else:
            self._tails.pop(key, None)
        self._records.change(key, before, row, tail)
        if reservation.due_ms < looked_at_ms(rows):
            self._look_at(account, reservation.due_ms)

    def due(self, now_ms: int) -> tuple[str, Reservation] | None:
        """The reservation that is due first, with its account, if any is by now; to be put later, or dropped."""
        while (account := self._agenda.first(now_ms)) is not None:
            offset = first_due(account.rows)
            due_ms, _ = due_at(account.rows, offset)
            if due_ms == looked_at_ms(account.rows):
                return account.account_id, self._at(account, offset)
            self._look_at(account, due_ms)
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
        return unpack(account.rows, self._tail_of(account, transaction_at(account.rows, offset)), offset)

    def _tail_of(self, account: Account, transaction: bytes) -> bytes:
        return self._tails.get(record_key(account.account_id, transaction), b"") if self._tails else b""

    def _drop(self, account: Account, offset: int) -> None:
        row = row_at(account.rows, offset)
        key = record_key(account.account_id, row[:TRANSACTION_BYTES])
        self._tails.pop(key, None)
        account.rows = without_row(account.rows, offset)
        if not account.rows:
            self._holding -= 1
            self._tidy()
        self._records.drop(key, row)

    def _shorten(self, account: Account) -> None:
        """Forget the oldest of an account that has too many, what still uses credit last."""
        rows = account.rows

        def order(offset: int) -> tuple[int, tuple[int, bytes]]:
            return _RANK[state_of(rows[offset + MARK_AT])], due_at(rows, offset)

        going = sorted(offsets(rows), key=order)[: KEEP_PER_ACCOUNT // _SLACK]
        for offset in sorted(going, reverse=True):
            self._drop(account, offset)

    def _part(self, account: Account, block: int) -> Iterator[tuple[bytes, bytes]]:
        """The rows of an account that only a block tells of, with their tails; they have their own records now."""
        rows = bytearray(account.rows)
        for offset in offsets(rows):
            row = row_at(rows, offset)
            if block_of(row) == block and not row[MARK_AT] & OWN_RECORD:
                rows[offset + MARK_AT] |= OWN_RECORD
                yield row_at(rows, offset), self._tail_of(account, row[:TRANSACTION_BYTES])
        account.rows = rows if isinstance(account.rows, bytearray) else bytes(rows)

    def _look_at(self, account: Account, at_ms: int) -> None:
        account.rows = looked_at(account.rows, at_ms)
        self._agenda.enter(account, at_ms)
        self._tidy()

    def _tidy(self) -> None:
        if self._agenda.count > 2 * self._holding:
            self._agenda.tidy()

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        return self._records.changes()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the reservations back from their state records."""
        read = ReadBack(records, self.accounts)
        self._records.restore(read)
        self._tails = read.tails()
        accounts: list[Account] = []
        times_ms: list[int] = []
        for account, at_ms, rows in read.rows():
            account.rows = rows
            accounts.append(account)
            times_ms.append(at_ms)
        self._agenda.begin_with(accounts, times_ms)
        self._holding = len(accounts)
