"""All window logs of one fold: found by entity, kept as chunks, forgotten when nothing asks for them any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rules.accounts import Accounts
from rules.entity_agenda import EntityAgenda
from rules.entity_books import Book, EntityBooks
from rules.holder import Holder
from rules.holders import Holders
from rules.kept_log import KeptLog
from rules.merged_away import MergedAway
from rules.packed_books import (
    HEAD_BYTES,
    LOG,
    Packed,
    key_head,
    packed_chunks,
    packed_until_ms,
    prefix_of,
    unpack_books,
)
from rules.plan import EntityPlan, RulesetPlan
from rules.velocity import Subject

# An entity idle for this long beyond what its windows ask is forgotten: purchases may come that late.
_GRACE_MS: Final = 86_400_000

_APPROVED: Final = Book.APPROVED
_APPROVED_PREFIX: Final = prefix_of(_APPROVED)
_FRAUD: Final = Book.FRAUD
_LOG_CODE: Final = LOG[0]


class Logbook:
    """The logs of one fold, with what changed in them since it was last asked.

    `now_ms`, where it is asked for, is the latest event time that the fold has seen.
    """

    def __init__(self, accounts: Accounts | None = None, *, moves: bool = False) -> None:
        """With `accounts` every entity is one of them or has one; where it `moves`, purchases are moved by that."""
        self.holders = Holders(accounts, by_account=moves)
        self._due = EntityAgenda(self.holders.get)
        self._dirty: dict[Holder, EntityBooks] = {}
        self._gone: dict[bytes, None] = {}
        self._merged_away = MergedAway()

    def find(self, holder: Holder, now_ms: int) -> EntityBooks | None:
        """The books of an entity, read now if they were not before, if it has any and is not to be forgotten."""
        books = holder.books
        if books is None:
            return None
        if _kept_until_ms(books) < now_ms:
            # Whether it was swept yet must make no difference.
            self._forget(holder, books)
            return None
        if not isinstance(books, EntityBooks):
            books = holder.books = unpack_books(books)
        return books

    def visit(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        holder: Holder,
        transaction: bytes,
        event_time_ms: int,
        now_ms: int,
    ) -> tuple[EntityBooks, bool]:
        """What a purchase finds of an entity: its books, and whether the purchase was entered there before.

        The books are rid of what is too old for a purchase at this time. Where there are none they are new, and kept
        from when something is entered.
        """
        books = holder.books
        if type(books) is not EntityBooks or books.keep_until_ms < now_ms:
            books = self.find(holder, now_ms) or EntityBooks()
        reach_ms, last_ms, approved = plan.horizon_ms + ruleset.allowed_lateness_ms, books.last_ms, books.approved
        known = approved.has(transaction)
        if books.has_others:
            known = known or books.others_have(transaction)
            oldest_ms = books.oldest_ms
        else:
            times = approved.times
            oldest_ms = times[0] if times else event_time_ms
        until_ms = (last_ms if last_ms > event_time_ms else event_time_ms) - reach_ms
        if oldest_ms <= until_ms:
            self._expire(holder, books, until_ms, event_time_ms - reach_ms)
        merged_away = self._merged_away
        if merged_away.names and not known:
            known = merged_away.has(holder.entity_key, transaction)
        return books, known

    def _expire(self, holder: Holder, books: EntityBooks, until_ms: int, fraud_until_ms: int) -> None:
        """Rid an entity's logs of what is too old.

        Labels may be ahead of the purchases that are decided, so that the newest row does not say what is old of fraud.
        """
        # While one log is in reach the other keeps when it began: an entity is as old as its first purchase,
        # however that was decided.
        least = 0 if books.last_ms <= until_ms else 1
        expired = books.approved.expire(until_ms, least=least)
        if books.declined is not None and books.declined.expire(until_ms, least=least):
            expired = True
        if books.released is not None and books.released.expire(until_ms, least=least):
            expired = True
        fraud = books.fraud
        if fraud is not None and fraud.expire(fraud_until_ms):
            expired = True
            if not fraud.times:
                self._drop(holder, _FRAUD, fraud)
                books.drop_fraud()
                self._look_earlier(holder, books)
        if expired:
            self._dirty[holder] = books

    def enter(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        holder: Holder,
        books: EntityBooks,
        subject: Subject,
        book: Book = _APPROVED,
        now_ms: int = 0,
    ) -> None:
        """Enter a purchase that is not known yet into what it found; as fraud, at `now_ms`, one not known to be."""
        kept = books.approved if book is _APPROVED else books.log_of(book)
        reach_ms, time_ms, last_ms = plan.horizon_ms + ruleset.allowed_lateness_ms, subject[0].event_time, books.last_ms
        keep_ms = kept.keep_ms
        if keep_ms != reach_ms + _GRACE_MS:
            kept.keep_for(reach_ms + _GRACE_MS)
        # A purchase that a label is on lies in the past: it says nothing of what is out of reach.
        newest_ms = now_ms if book is _FRAUD else time_ms if time_ms > last_ms else last_ms
        away = kept.enter(subject, plan.distinct_fields, ruleset.max_rows, newest_ms - reach_ms)
        if away:
            self._merged_away.remember(_merged_key(holder, book), away)
        if books.has_others or keep_ms != kept.keep_ms:
            books.note(0 if book is _FRAUD else time_ms)
            self._look_earlier(holder, books)
        elif time_ms > last_ms:
            books.last_ms = time_ms
            books.keep_until_ms = time_ms + keep_ms
        self._dirty[holder] = books

    def _look_earlier(self, holder: Holder, books: EntityBooks) -> None:
        """See to it that an entity is looked at no later than it may be forgotten, where it may be at another time."""
        if holder.books is not books:
            holder.books = books
            self.holders.keep(holder)
        elif books.keep_until_ms >= books.due_ms:
            return
        self._look_at(holder, books)

    def enter_fraud(
        self, ruleset: RulesetPlan, plan: EntityPlan, entity_key: str, subject: Subject, now_ms: int
    ) -> None:
        """Enter a purchase that a label says to be fraud: once, and only while a window can still look at it.

        It says nothing of whether the purchase itself is known, or of how late others are.
        """
        if subject.purchase.event_time <= now_ms - plan.horizon_ms - ruleset.allowed_lateness_ms:
            return
        holder = self.holders.get(entity_key)
        books = self.find(holder, now_ms)
        if books is not None and books.fraud is not None:
            merged_key = _merged_key(holder, _FRAUD)
            if books.fraud.has(subject.transaction) or self._merged_away.has(merged_key, subject.transaction):
                return
        self.enter(ruleset, plan, holder, books or EntityBooks(), subject, Book.FRAUD, now_ms)

    def move(self, account_id: str, transaction: bytes, book: Book, to: Book, max_rows: int, now_ms: int) -> None:
        """Move a purchase from one log to another with every entity of its account that has it there.

        A row that was merged with others can't be told apart: it stays where it is.
        """
        for holder in self.holders.of_account(account_id):
            books = self.find(holder, now_ms)
            kept = dict(books.kept()).get(book) if books is not None else None
            if books is None or kept is None or not kept.has(transaction):
                continue
            keep_ms, target = kept.keep_ms, books.log_of(to)
            away = kept.move(transaction, target, max_rows, books.last_ms - keep_ms + _GRACE_MS)
            if away is None:
                continue
            if target.times:
                target.keep_for(max(keep_ms, target.keep_ms))
            books.note()
            self._look_earlier(holder, books)
            if away:
                self._merged_away.remember(holder.entity_key, away)
            self._dirty[holder] = books

    def sweep(self, now_ms: int) -> None:
        """Forget the entities that nobody touched for longer than any window over them reaches."""
        forgotten = dict[str, Holder]()
        for holder, books in self._due.over(now_ms):
            if _kept_until_ms(books) < now_ms:
                forgotten[holder.entity_key] = holder
            elif isinstance(books, EntityBooks):
                self._look_at(holder, books)
        # When they were looked at last must make no difference.
        for entity_key in sorted(forgotten):
            holder = forgotten[entity_key]
            if holder.books is not None:
                self._forget(holder, holder.books)

    def _look_at(self, holder: Holder, books: EntityBooks) -> None:
        """See to it that an entity is looked at when it may be forgotten."""
        books.due_ms = books.keep_until_ms
        self._due.enter(holder, books.due_ms)

    def _forget(self, holder: Holder, books: EntityBooks | Packed) -> None:
        if isinstance(books, EntityBooks):
            for book, kept in books.kept():
                self._drop(holder, book, kept)
        else:
            heads, name = [chunk[:HEAD_BYTES] for chunk in packed_chunks(books)], holder.entity_key.encode()
            self._gone.update(dict.fromkeys([head + name for head in sorted(heads)]))
        holder.books = None
        self._dirty.pop(holder, None)
        self.holders.let_go(holder)

    def _drop(self, holder: Holder, book: Book, kept: KeptLog) -> None:
        prefix, name = prefix_of(book), holder.entity_key.encode()
        for chunk in sorted(kept.clear()):
            self._gone[key_head(prefix, chunk) + name] = None

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call, what is gone first."""
        written: list[tuple[bytes, bytes | None]] = []
        for holder, books in self._dirty.items():
            name = holder.entity_key.encode()
            for chunk, raw in books.approved.changes():
                written.append((key_head(_APPROVED_PREFIX, chunk) + name, raw))
            if books.has_others:
                for book, kept in books.others():
                    prefix = prefix_of(book)
                    written += [(key_head(prefix, chunk) + name, raw) for chunk, raw in kept.changes()]
        self._dirty.clear()
        written += self._merged_away.changes()
        gone, self._gone = self._gone, {}
        if gone:
            rewritten = {key for key, _ in written}
            written = [*((key, None) for key in gone if key not in rewritten), *written]
        return written

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        for books in self._dirty.values():
            for _, kept in books.kept():
                kept.settle()
        self._dirty.clear()
        self._gone.clear()
        self._merged_away.settle()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the state back from its records. What an entity has is read when it is first asked for."""
        keys = [key for key in records if key[0] == _LOG_CODE]
        holders = self.holders.keep_all([key[HEAD_BYTES:].decode() for key in keys])
        found = dict[Holder, Packed]()
        for holder, key in zip(holders, keys, strict=True):
            chunk, packed = key[:HEAD_BYTES] + records[key], found.get(holder)
            found[holder] = chunk if packed is None else (*packed_chunks(packed), chunk)
        for holder, packed in found.items():
            holder.books = packed
        self._due.begin_with(found, map(packed_until_ms, found.values()))
        self._merged_away.restore({key: raw for key, raw in records.items() if key[0] != _LOG_CODE})


def _merged_key(holder: Holder, book: Book) -> str:
    """By what merged rows are remembered: whether a purchase is known, and known to be fraud, are two things."""
    # No entity's key has a space before its colon.
    return f"fraud {holder.entity_key}" if book is _FRAUD else holder.entity_key


def _kept_until_ms(books: EntityBooks | Packed) -> int:
    return books.keep_until_ms if isinstance(books, EntityBooks) else packed_until_ms(books)
