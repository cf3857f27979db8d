"""The reservations of one desk: found by account and transaction, told when they are due, bounded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from models.fields import MAX_EVENT_TIME_MS
from rules.plan import RulesetPlan
from rules.reservation import Reservation, State
from rules.reservation_records import ReservationRecords, block_of
from rules.reservation_rows import (
    DUE,
    DUE_AT,
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


class _Held:
    """An account's rows in one piece, with the tails of those that have one.

    `looked_at_ms` is when the rows are looked through next: not later than the first of them is due.
    """

    __slots__ = ("looked_at_ms", "rows", "tails")

    def __init__(self) -> None:
        self.rows = bytearray()
        self.tails: dict[bytes, bytes] = {}
        self.looked_at_ms = _NEVER_MS

    def offset_of(self, transaction: bytes) -> int:
        """Where the row of a transaction begins; -1 where there is none."""
        rows, size = self.rows, ROW.size
        offset = rows.find(transaction)
        while offset >= 0 and offset % size:
            offset = rows.find(transaction, offset + 1)
        return offset

    def at(self, offset: int) -> Reservation:
        return unpack(self.rows, self.tails.get(self.transaction_at(offset), b""), offset)

    def transaction_at(self, offset: int) -> bytes:
        return bytes(self.rows[offset : offset + TRANSACTION_BYTES])

    def row_at(self, offset: int) -> bytes:
        return bytes(self.rows[offset : offset + ROW.size])

    def remove(self, offset: int) -> bytes:
        """Take a row out, and give it back."""
        row = self.row_at(offset)
        self.tails.pop(row[:TRANSACTION_BYTES], None)
        del self.rows[offset : offset + ROW.size]
        return row

    def offsets(self) -> range:
        return range(0, len(self.rows), ROW.size)

    def due_at(self, offset: int) -> tuple[int, bytes]:
        """When a row is due, and its transaction: the order in which rows are told of."""
        return DUE.unpack_from(self.rows, offset + DUE_AT)[0], self.transaction_at(offset)

    def first_due(self) -> int:
        """Where the row begins that is due first."""
        return min(self.offsets(), key=self.due_at)


class Reservations:
    """All reservations of one fold. Before the event time `next_ms` nothing is due.

    Of what is due, what is due first is told first, then by account and by transaction: the order depends on the
    reservations alone.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Held] = {}
        # (when, account): the accounts whose rows are to be looked through; those that say another time than their
        # account does are out of date.
        self._agenda: list[tuple[int, str]] = []
        self.next_ms = _NEVER_MS
        self._records = ReservationRecords(self._part)

    def begin(self, plan: RulesetPlan, subject: Subject, *, declined: bool, unreckoned: bool = False) -> bool:
        """Begin with a purchase that was just decided; False, and nothing is done, where it was begun before.

        It is `unreckoned` where it takes no credit for want of a rate.
        """
        purchase, amount_minor, transaction, _ = subject
        account_id, event_time_ms = purchase.account_id, purchase.event_time
        held = self._accounts.get(account_id)
        if held is None:
            held = self._accounts[account_id] = _Held()
        elif held.offset_of(transaction) >= 0:
            return False
        mark, due_ms, tail = _DECLINED if declined else _BEGUN, event_time_ms + KEEP_MS, b""
        if plan.expire_after_ms is not None and not declined:
            mark, due_ms = mark | EXPIRES, min(event_time_ms + plan.expire_after_ms, MAX_EVENT_TIME_MS)
            tail = held.tails[transaction] = purchase.transaction_id.encode()
        row = ROW.pack(
            transaction,
            due_ms,
            mark | UNRECKONED if unreckoned else mark,
            purchase.currency.encode(),
            plan.currency.encode(),
            purchase.amount,
            amount_minor,
            0,
            0,
            self._records.next_block,
        )
        held.rows += self._records.begin(account_id, row, tail)
        if due_ms < held.looked_at_ms:
            self._look_at(account_id, held, due_ms)
        if len(held.rows) > KEEP_PER_ACCOUNT * ROW.size:
            self._shorten(account_id, held)
        return True

    def find(self, account_id: str, transaction: bytes) -> Reservation | None:
        """The reservation of a transaction, while it is known."""
        held = self._accounts.get(account_id)
        offset = held.offset_of(transaction) if held is not None else -1
        return held.at(offset) if held is not None and offset >= 0 else None

    def put(self, account_id: str, reservation: Reservation) -> None:
        """Replace a reservation that is there by what became of it."""
        held = self._accounts[account_id]
        offset = held.offset_of(reservation.transaction)
        before = held.row_at(offset)
        row, tail = pack_row(reservation, block_of(before)), pack_tail(reservation)
        held.rows[offset : offset + ROW.size] = row
        if tail:
            held.tails[reservation.transaction] = tail
        else:
            held.tails.pop(reservation.transaction, None)
        self._records.change(account_id, before, row, tail)
        if reservation.due_ms < held.looked_at_ms:
            self._look_at(account_id, held, reservation.due_ms)

    def due(self, now_ms: int) -> tuple[str, Reservation] | None:
        """The reservation that is due first, with its account, if any is by now; to be put later, or dropped."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= now_ms:
            at_ms, account_id = agenda[0]
            held = self._accounts.get(account_id)
            if held is None or held.looked_at_ms != at_ms:
                heappop(agenda)
                continue
            offset = held.first_due()
            due_ms, _ = held.due_at(offset)
            if due_ms == at_ms:
                self.next_ms = at_ms
                return account_id, held.at(offset)
            held.looked_at_ms = due_ms
            heapreplace(agenda, (due_ms, account_id))
        self.next_ms = agenda[0][0] if agenda else _NEVER_MS
        return None

    def due_of(self, account_id: str, now_ms: int) -> list[Reservation]:
        """The reservations of an account that are due by now, each to be put later, or dropped."""
        held = self._accounts.get(account_id)
        if held is None or held.looked_at_ms > now_ms:
            return []
        due = sorted((*held.due_at(offset), offset) for offset in held.offsets())
        return [held.at(offset) for due_ms, _, offset in due if due_ms <= now_ms]

    def drop(self, account_id: str, transaction: bytes) -> None:
        """Forget a reservation that is there."""
        held = self._accounts[account_id]
        self._drop(account_id, held, held.offset_of(transaction))
        if not held.rows:
            del self._accounts[account_id]

    def _drop(self, account_id: str, held: _Held, offset: int) -> None:
        self._records.drop(account_id, held.remove(offset))

    def _shorten(self, account_id: str, held: _Held) -> None:
        """Forget the oldest of an account that has too many, what still uses credit last."""

        def order(offset: int) -> tuple[int, tuple[int, bytes]]:
            return _RANK[state_of(held.rows[offset + MARK_AT])], held.due_at(offset)

        going = sorted(held.offsets(), key=order)[: KEEP_PER_ACCOUNT // _SLACK]
        for offset in sorted(going, reverse=True):
            self._drop(account_id, held, offset)

    def _part(self, account_id: str, block: int) -> Iterator[tuple[bytes, bytes]]:
        """The rows of an account that only a block tells of, with their tails; they have their own records now."""
        held = self._accounts.get(account_id)
        if held is None:
            return
        for offset in held.offsets():
            row = held.row_at(offset)
            if block_of(row) == block and not row[MARK_AT] & OWN_RECORD:
                held.rows[offset + MARK_AT] |= OWN_RECORD
                yield held.row_at(offset), held.tails.get(row[:TRANSACTION_BYTES], b"")

    def _look_at(self, account_id: str, held: _Held, at_ms: int) -> None:
        held.looked_at_ms = at_ms
        heappush(self._agenda, (at_ms, account_id))
        if len(self._agenda) > 2 * len(self._accounts):
            self._agenda = [(each.looked_at_ms, of_account) for of_account, each in self._accounts.items()]
            heapify(self._agenda)
        self.next_ms = min(self.next_ms, at_ms)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        return self._records.changes()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the reservations back from their state records."""
        for account_id, row, tail in self._records.restore(records):
            held = self._accounts.setdefault(account_id, _Held())
            held.rows += row
            if tail:
                held.tails[row[:TRANSACTION_BYTES]] = tail
        for account_id, held in self._accounts.items():
            held.looked_at_ms, _ = held.due_at(held.first_due())
            self._agenda.append((held.looked_at_ms, account_id))
        heapify(self._agenda)
        self.next_ms = self._agenda[0][0] if self._agenda else _NEVER_MS
