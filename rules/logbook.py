"""All window logs of one fold: found by entity, kept as chunks, forgotten when nothing asks for them any more."""

from __future__ import annotations

import struct
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

from rules.account_entities import AccountEntities
from rules.entity_books import Book, EntityBooks
from rules.kept_log import KeptLog
from rules.plan import EntityPlan, RulesetPlan
from rules.velocity import EntityLogs, Subject
from rules.windows import WindowLog

_LOG: Final = b"L"
_MERGED: Final = b"M"
_CHUNK_ID: Final = struct.Struct(">I")
# Transactions whose rows were merged away, remembered by the fold in blocks, oldest out first.
_MERGED_BLOCKS: Final = 1024
# An entity idle for this long beyond what its windows ask is forgotten: purchases may come that late.
_GRACE_MS: Final = 86_400_000


_APPROVED: Final = Book.APPROVED
_FRAUD: Final = Book.FRAUD
_NO_LOGS: Final = EntityLogs(WindowLog())


class Logbook:
    """The logs of one fold, with what changed in them since it was last asked.

    `now_ms`, where it is asked for, is the latest event time that the fold has seen.
    """

    def __init__(self, *, of_accounts: bool = False) -> None:
        """`of_accounts` where every entity is one of an account, so that purchases can be moved by it."""
        self._of_account = AccountEntities() if of_accounts else None
        self._entities: OrderedDict[str, EntityBooks] = OrderedDict()
        self._dirty: dict[str, None] = {}
        self._merged: OrderedDict[int, bytes] = OrderedDict()
        self._merged_transactions: dict[bytes, int] = {}
        self._next_block = 0
        self._gone: dict[bytes, None] = {}
        self._new_blocks: list[int] = []

    def find(self, entity_key: str, now_ms: int) -> EntityBooks | None:
        """The books of an entity, if it has any and is not to be forgotten."""
        books = self._entities.get(entity_key)
        if books is not None and books.keep_until_ms < now_ms:
            # Whether it was swept yet must make no difference.
            self._forget(entity_key, books)
            return None
        return books

    def knows(self, entity_key: str, books: EntityBooks | None, transaction: bytes) -> bool:
        """Whether this transaction was entered into a log of this entity before."""
        if books is None:
            return False
        return books.has(transaction) or (
            bool(self._merged_transactions) and _merged_id(entity_key, transaction) in self._merged_transactions
        )

    def logs(
        self, ruleset: RulesetPlan, plan: EntityPlan, entity_key: str, books: EntityBooks | None, event_time_ms: int
    ) -> EntityLogs:
        """The logs to measure an entity by, rid of what is too old for a purchase at this time."""
        if books is None:
            return _NO_LOGS
        reach_ms = plan.horizon_ms + ruleset.allowed_lateness_ms
        approved, declined = books.approved, books.declined
        until_ms = max(books.last_ms, event_time_ms) - reach_ms
        # While one log is in reach the other keeps when it began: an entity is as old as its first purchase,
        # however that was decided.
        least = 0 if books.last_ms <= until_ms else 1
        fraud = (
            None if books.fraud is None else self._fraud_log(entity_key, books, books.fraud, event_time_ms - reach_ms)
        )
        self._expire(entity_key, approved, until_ms, least)
        if declined is not None:
            self._expire(entity_key, declined, until_ms, least)
        released = books.released
        if released is None:
            return EntityLogs(approved.log, None if declined is None else declined.log, fraud)
        self._expire(entity_key, released, until_ms, least)
        return EntityLogs(approved.log, None if declined is None else declined.log, fraud, released.log)

    def _fraud_log(self, entity_key: str, books: EntityBooks, fraud: KeptLog, until_ms: int) -> WindowLog | None:
        """The log of fraud, rid of what is too old; where nothing is left, there is none.

        Labels may be ahead of the purchases that are decided, so that the newest row does not say what is old.
        """
        if fraud.expire(until_ms):
            self._dirty[entity_key] = None
        if len(fraud.log):
            return fraud.log
        self._drop(entity_key, Book.FRAUD, fraud)
        books.fraud = None
        books.note()
        return None

    def _expire(self, entity_key: str, kept: KeptLog, until_ms: int, least: int) -> None:
        times = kept.log.times
        if times and times[0] <= until_ms and kept.expire(until_ms, least=least):
            self._dirty[entity_key] = None

    def enter(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        entity_key: str,
        subject: Subject,
        book: Book = Book.APPROVED,
        now_ms: int = 0,
    ) -> None:
        """Enter a purchase that is not known yet; as fraud, at `now_ms`, one that is not known to be."""
        entities = self._entities
        books = entities.get(entity_key)
        if books is None:
            books = entities[entity_key] = EntityBooks()
            if self._of_account is not None:
                self._of_account.add(entity_key)
        else:
            entities.move_to_end(entity_key)
        kept = books.approved if book is _APPROVED else books.log_of(book)
        kept.keep_for(plan.horizon_ms + ruleset.allowed_lateness_ms + _GRACE_MS)
        # A purchase that a label is on lies in the past: it says nothing of what is out of reach.
        newest_ms = now_ms if book is _FRAUD else max(books.last_ms, subject.purchase.event_time)
        until_ms = newest_ms - plan.horizon_ms - ruleset.allowed_lateness_ms
        away = kept.enter(subject, plan.distinct_fields, ruleset.max_rows, until_ms)
        if book is _FRAUD:
            books.note()
        else:
            books.note(subject.purchase.event_time)
        if away:
            self._remember_merged(_merged_key(entity_key, book), away)
        self._dirty[entity_key] = None

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
            merged_id = _merged_id(_merged_key(entity_key, Book.FRAUD), subject.transaction)
            if books.fraud.log.has(subject.transaction) or merged_id in self._merged_transactions:
                return
        self.enter(ruleset, plan, entity_key, subject, Book.FRAUD, now_ms)

    def move(self, account_id: str, transaction: bytes, book: Book, to: Book, max_rows: int, now_ms: int) -> None:
        """Move a purchase from one log to another with every entity of its account that has it there.

        A row that was merged with others can't be told apart: it stays where it is.
        """
        assert self._of_account is not None, "a logbook of accounts"
        for entity_key in self._of_account.keys_of(account_id):
            books = self.find(entity_key, now_ms)
            kept = dict(books.kept()).get(book) if books is not None else None
            if books is None or kept is None or not kept.log.has(transaction):
                continue
            keep_ms, target = kept.keep_ms, books.log_of(to)
            away = kept.move(transaction, target, max_rows, books.last_ms - keep_ms + _GRACE_MS)
            if away is None:
                continue
            target.keep_for(max(keep_ms, target.keep_ms))
            books.note()
            if away:
                self._remember_merged(entity_key, away)
            self._dirty[entity_key] = None

    def sweep(self, now_ms: int) -> None:
        """Forget the entities that nobody touched for longer than any window over them reaches.

        Only the longest untouched are looked at.
        """
        while self._entities:
            entity_key, books = next(iter(self._entities.items()))
            if books.keep_until_ms >= now_ms:
                return
            self._forget(entity_key, books)

    def _forget(self, entity_key: str, books: EntityBooks) -> None:
        for book, kept in books.kept():
            self._drop(entity_key, book, kept)
        del self._entities[entity_key]
        self._dirty.pop(entity_key, None)
        if self._of_account is not None:
            self._of_account.remove(entity_key)

    def _drop(self, entity_key: str, book: Book, kept: KeptLog) -> None:
        for chunk in kept.clear():
            self._gone[_log_key(entity_key, book, chunk)] = None

    def _remember_merged(self, entity_key: str, transactions: Iterable[bytes]) -> None:
        block = self._next_block
        self._next_block += 1
        packed = b"".join(_merged_id(entity_key, transaction) for transaction in transactions)
        self._add_block(block, packed)
        self._new_blocks.append(block)
        if len(self._merged) > _MERGED_BLOCKS:
            oldest, forgotten = self._merged.popitem(last=False)
            for merged_id in _ids_in(forgotten):
                if self._merged_transactions.get(merged_id) == oldest:
                    del self._merged_transactions[merged_id]
            self._gone[_MERGED + _CHUNK_ID.pack(oldest)] = None

    def _add_block(self, block: int, packed: bytes) -> None:
        self._merged[block] = packed
        for merged_id in _ids_in(packed):
            self._merged_transactions[merged_id] = block

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call, what is gone first."""
        gone, self._gone = self._gone, {}
        written: list[tuple[bytes, bytes | None]] = []
        for entity_key in self._dirty:
            books = self._entities[entity_key]
            for chunk, raw in books.approved.changes():
                written.append((_log_key(entity_key, _APPROVED, chunk), raw))
            if books.has_others:
                for book, kept in books.others():
                    written += [(_log_key(entity_key, book, chunk), raw) for chunk, raw in kept.changes()]
        self._dirty.clear()
        blocks, self._new_blocks = self._new_blocks, []
        written += [(_MERGED + _CHUNK_ID.pack(block), self._merged[block]) for block in blocks if block in self._merged]
        if gone:
            rewritten = {key for key, _ in written}
            written = [*((key, None) for key in gone if key not in rewritten), *written]
        return written

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        for entity_key in self._dirty:
            for _, kept in self._entities[entity_key].kept():
                kept.settle()
        self._dirty.clear()
        self._gone.clear()
        self._new_blocks.clear()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the state back from its records."""
        chunks: defaultdict[tuple[str, Book], dict[int, bytes]] = defaultdict(dict)
        blocks: dict[int, bytes] = {}
        for key, raw in records.items():
            if key[:1] == _LOG:
                entity_key, book, chunk = _parsed(key)
                chunks[entity_key, book][chunk] = raw
            elif key[:1] == _MERGED:
                blocks[_CHUNK_ID.unpack(key[1:])[0]] = raw
        entities = _books_of(chunks)
        self._entities = OrderedDict(sorted(entities.items(), key=lambda item: item[1].keep_until_ms))
        if self._of_account is not None:
            for entity_key in self._entities:
                self._of_account.add(entity_key)
        for block in sorted(blocks):
            self._add_block(block, blocks[block])
        self._next_block = max(blocks, default=-1) + 1


def _books_of(chunks: Mapping[tuple[str, Book], Mapping[int, bytes]]) -> Mapping[str, EntityBooks]:
    """The books of each entity, from the chunks of its logs."""
    entities: defaultdict[str, EntityBooks] = defaultdict(EntityBooks)
    for (entity_key, book), parts in chunks.items():
        kept = KeptLog.restored(parts)
        entities[entity_key].take_back(book, kept)
    return entities


def _merged_id(entity_key: str, transaction: bytes) -> bytes:
    return blake2b(entity_key.encode() + b"\0" + transaction, digest_size=8).digest()


def _merged_key(entity_key: str, book: Book) -> str:
    """By what merged rows are remembered: whether a purchase is known, and known to be fraud, are two things."""
    # No entity's key has a space before its colon.
    return f"fraud {entity_key}" if book is _FRAUD else entity_key


def _ids_in(packed: bytes) -> Iterator[bytes]:
    return (packed[at : at + 8] for at in range(0, len(packed), 8))


_PREFIXES: Final = {book: _LOG + book.encode() for book in Book}


def _log_key(entity_key: str, book: Book, chunk: int) -> bytes:
    return b"".join((_PREFIXES[book], _CHUNK_ID.pack(chunk), entity_key.encode()))


def _parsed(key: bytes) -> tuple[str, Book, int]:
    return key[6:].decode(), Book(key[1:2].decode()), _CHUNK_ID.unpack(key[2:6])[0]
