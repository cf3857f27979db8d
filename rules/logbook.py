"""All window logs of one fold: found by entity, kept as chunks, forgotten when nothing asks for them any more."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final

from rules.account_entities import AccountEntities
from rules.entity_books import Book, EntityBooks
from rules.kept_log import KeptLog
from rules.merged_away import MergedAway
from rules.packed_books import HEAD_BYTES, LOG, PackedBooks, key_head, prefix_of
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

    def __init__(self, *, of_accounts: bool = False) -> None:
        """`of_accounts` where every entity is one of an account, so that purchases can be moved by it."""
        self._of_account = AccountEntities() if of_accounts else None
        self._entities: dict[str, EntityBooks | PackedBooks] = {}
        # When entities are to be looked at whether they are forgotten, earliest first: no later than they may be.
        self._due: list[tuple[int, str]] = []
        self._dirty: dict[str, EntityBooks] = {}
        self._gone: dict[bytes, None] = {}
        self._merged_away = MergedAway()

    def find(self, entity_key: str, now_ms: int) -> EntityBooks | None:
        """The books of an entity, if it has any and is not to be forgotten."""
        books = self._entities.get(entity_key)
        if books is None:
            return None
        if books.keep_until_ms < now_ms:
            # Whether it was swept yet must make no difference.
            self._forget(entity_key, books)
            return None
        return books if type(books) is EntityBooks else self._unpacked(entity_key, books)

    def _unpacked(self, entity_key: str, books: EntityBooks | PackedBooks) -> EntityBooks:
        """The books of an entity, read now if they were not before."""
        if isinstance(books, PackedBooks):
            books = self._entities[entity_key] = books.unpacked()
        return books

    def visit(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        entity_key: str,
        transaction: bytes,
        event_time_ms: int,
        now_ms: int,
    ) -> tuple[EntityBooks, bool]:
        """What a purchase finds of an entity: its books, and whether the purchase was entered there before.

        The books are rid of what is too old for a purchase at this time. Where there are none they are new, and kept
        from when something is entered.
        """
        books = self._entities.get(entity_key)
        if type(books) is not EntityBooks or books.keep_until_ms < now_ms:
            books = self.find(entity_key, now_ms) or EntityBooks()
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
            self._expire(entity_key, books, until_ms, event_time_ms - reach_ms)
        merged_away = self._merged_away
        return books, known or (entity_key in merged_away.names and merged_away.has(entity_key, transaction))

    def _expire(self, entity_key: str, books: EntityBooks, until_ms: int, fraud_until_ms: int) -> None:
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
                self._drop(entity_key, _FRAUD, fraud)
                books.drop_fraud()
                self._look_earlier(entity_key, books)
        if expired:
            self._dirty[entity_key] = books

    def enter(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        entity_key: str,
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
            self._merged_away.remember(_merged_key(entity_key, book), away)
        if books.has_others or keep_ms != kept.keep_ms:
            books.note(0 if book is _FRAUD else time_ms)
            self._look_earlier(entity_key, books)
        elif time_ms > last_ms:
            books.last_ms = time_ms
            books.keep_until_ms = time_ms + keep_ms
        self._dirty[entity_key] = books

    def _look_earlier(self, entity_key: str, books: EntityBooks) -> None:
        """See to it that an entity is looked at no later than it may be forgotten, where it may be at another time."""
        if not books.due_ms:
            self._entities[entity_key] = books
            if self._of_account is not None:
                self._of_account.add(entity_key)
        elif books.keep_until_ms >= books.due_ms:
            return
        books.due_ms = books.keep_until_ms
        heappush(self._due, (books.due_ms, entity_key))

    def enter_fraud(
        self, ruleset: RulesetPlan, plan: EntityPlan, entity_key: str, subject: Subject, now_ms: int
    ) -> None:
        """Enter a purchase that a label says to be fraud: once, and only while a window can still look at it.

        It says nothing of whether the purchase itself is known, or of how late others are.
        """
        if subject.purchase.event_time <= now_ms - plan.horizon_ms - ruleset.allowed_lateness_ms:
            return
        books = self.find(entity_key, now_ms)
        if books is not None and books.fraud is not None:
            merged_key = _merged_key(entity_key, _FRAUD)
            if books.fraud.has(subject.transaction) or self._merged_away.has(merged_key, subject.transaction):
                return
        self.enter(ruleset, plan, entity_key, books or EntityBooks(), subject, Book.FRAUD, now_ms)

    def move(self, account_id: str, transaction: bytes, book: Book, to: Book, max_rows: int, now_ms: int) -> None:
        """Move a purchase from one log to another with every entity of its account that has it there.

        A row that was merged with others can't be told apart: it stays where it is.
        """
        assert self._of_account is not None, "a logbook of accounts"
        for entity_key in self._of_account.keys_of(account_id):
            books = self.find(entity_key, now_ms)
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
            self._look_earlier(entity_key, books)
            if away:
                self._merged_away.remember(entity_key, away)
            self._dirty[entity_key] = books

    def sweep(self, now_ms: int) -> None:
        """Forget the entities that nobody touched for longer than any window over them reaches."""
        due = self._due
        if not due or due[0][0] >= now_ms:
            return
        forgotten = dict[str, EntityBooks | PackedBooks]()
        while due and due[0][0] < now_ms:
            due_ms, entity_key = heappop(due)
            books = self._entities.get(entity_key)
            if books is None or books.due_ms != due_ms:
                continue
            if books.keep_until_ms < now_ms:
                forgotten[entity_key] = books
            elif isinstance(books, EntityBooks):
                books.due_ms = books.keep_until_ms
                heappush(due, (books.due_ms, entity_key))
        # When they were looked at last must make no difference.
        for entity_key in sorted(forgotten):
            self._forget(entity_key, forgotten[entity_key])

    def _forget(self, entity_key: str, books: EntityBooks | PackedBooks) -> None:
        if isinstance(books, PackedBooks):
            name = entity_key.encode()
            self._gone.update(dict.fromkeys([head + name for head in sorted(books.chunks[::2])]))
        else:
            for book, kept in books.kept():
                self._drop(entity_key, book, kept)
        del self._entities[entity_key]
        self._dirty.pop(entity_key, None)
        if self._of_account is not None:
            self._of_account.remove(entity_key)

    def _drop(self, entity_key: str, book: Book, kept: KeptLog) -> None:
        prefix, name = prefix_of(book), entity_key.encode()
        for chunk in sorted(kept.clear()):
            self._gone[key_head(prefix, chunk) + name] = None

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call, what is gone first."""
        written: list[tuple[bytes, bytes | None]] = []
        for entity_key, books in self._dirty.items():
            name = entity_key.encode()
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
        found: dict[str, PackedBooks] = {}
        others: dict[bytes, bytes] = {}
        # Most have the same few.
        heads: dict[bytes, bytes] = {}
        for key, raw in records.items():
            if key[0] != _LOG_CODE:
                others[key] = raw
                continue
            entity_key, head = key[HEAD_BYTES:].decode(), key[:HEAD_BYTES]
            head = heads.setdefault(head, head)
            packed = found.get(entity_key)
            if packed is None:
                found[entity_key] = PackedBooks((head, raw))
            else:
                packed.chunks += (head, raw)
        for packed in found.values():
            packed.note()
        self._entities = dict(found)
        if self._of_account is not None:
            self._of_account.add_all(found)
        self._due = [(packed.keep_until_ms, entity_key) for entity_key, packed in found.items()]
        heapify(self._due)
        self._merged_away.restore(others)


def _merged_key(entity_key: str, book: Book) -> str:
    """By what merged rows are remembered: whether a purchase is known, and known to be fraud, are two things."""
    # No entity's key has a space before its colon.
    return f"fraud {entity_key}" if book is _FRAUD else entity_key
