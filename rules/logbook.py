"""All window logs of one fold: found by entity, kept as chunks, forgotten when nothing asks for them any more."""

from __future__ import annotations

import struct
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Final

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


class Book(StrEnum):
    """Which of an entity's logs: stations keep all purchases as approved, the desk knows better."""

    APPROVED = "a"
    DECLINED = "d"


_APPROVED: Final = Book.APPROVED
_NO_LOGS: Final = EntityLogs(WindowLog())


class EntityBooks:
    """The logs of one entity. `last_ms` is the event time of its newest purchase; `keep_until_ms` when it is
    forgotten, if nothing else is bought.
    """

    __slots__ = ("approved", "declined", "keep_until_ms", "last_ms")

    def __init__(self) -> None:
        self.approved = KeptLog()
        self.declined: KeptLog | None = None
        self.last_ms = 0
        self.keep_until_ms = 0

    def kept(self) -> Iterator[tuple[Book, KeptLog]]:
        """The logs that there are."""
        yield Book.APPROVED, self.approved
        if self.declined is not None:
            yield Book.DECLINED, self.declined

    def note(self, event_time_ms: int) -> None:
        """Take notice of a purchase's time, entered or read back."""
        if event_time_ms > self.last_ms:
            self.last_ms = event_time_ms
        keep_ms = self.approved.keep_ms
        if self.declined is not None and self.declined.keep_ms > keep_ms:
            keep_ms = self.declined.keep_ms
        self.keep_until_ms = self.last_ms + keep_ms

    def has(self, transaction: bytes) -> bool:
        """Whether a row is this transaction's."""
        return self.approved.log.has(transaction) or (self.declined is not None and self.declined.log.has(transaction))


class Logbook:
    """The logs of one fold, with what changed in them since it was last asked.

    `now_ms`, where it is asked for, is the latest event time that the fold has seen.
    """

    def __init__(self) -> None:
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
        self._expire(entity_key, approved, event_time_ms, reach_ms)
        if declined is None:
            return EntityLogs(approved.log)
        self._expire(entity_key, declined, event_time_ms, reach_ms)
        return EntityLogs(approved.log, declined.log)

    def _expire(self, entity_key: str, kept: KeptLog, event_time_ms: int, reach_ms: int) -> None:
        times = kept.log.times
        if times:
            until_ms = max(times[-1], event_time_ms) - reach_ms
            if times[0] <= until_ms and kept.expire(until_ms):
                self._dirty[entity_key] = None

    def enter(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        entity_key: str,
        subject: Subject,
        book: Book = Book.APPROVED,
    ) -> None:
        """Enter a purchase that is not known yet."""
        entities = self._entities
        books = entities.get(entity_key)
        if books is None:
            books = entities[entity_key] = EntityBooks()
        else:
            entities.move_to_end(entity_key)
        if book is _APPROVED:
            kept = books.approved
        else:
            kept = books.declined = books.declined or KeptLog()
        kept.keep_for(plan.horizon_ms + ruleset.allowed_lateness_ms + _GRACE_MS)
        books.note(subject.purchase.event_time)
        away = kept.enter(subject, plan.distinct_fields, ruleset.max_rows)
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
            for chunk in kept.clear():
                self._gone[_log_key(entity_key, book, chunk)] = None
        del self._entities[entity_key]
        self._dirty.pop(entity_key, None)

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
                written.append((_log_key(entity_key, Book.APPROVED, chunk), raw))
            if books.declined is not None:
                for chunk, raw in books.declined.changes():
                    written.append((_log_key(entity_key, Book.DECLINED, chunk), raw))
        self._dirty.clear()
        blocks, self._new_blocks = self._new_blocks, []
        written += [(_MERGED + _CHUNK_ID.pack(block), self._merged[block]) for block in blocks if block in self._merged]
        if gone:
            rewritten = {key for key, _ in written}
            written = [*((key, None) for key in gone if key not in rewritten), *written]
        return written

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
        entities: defaultdict[str, EntityBooks] = defaultdict(EntityBooks)
        for (entity_key, book), parts in chunks.items():
            kept, books = KeptLog.restored(parts), entities[entity_key]
            if book is Book.APPROVED:
                books.approved = kept
            else:
                books.declined = kept
            books.note(kept.last_ms)
        self._entities = OrderedDict(sorted(entities.items(), key=lambda item: item[1].last_ms))
        for block in sorted(blocks):
            self._add_block(block, blocks[block])
        self._next_block = max(blocks, default=-1) + 1


def _merged_id(entity_key: str, transaction: bytes) -> bytes:
    return blake2b(entity_key.encode() + b"\0" + transaction, digest_size=8).digest()


def _ids_in(packed: bytes) -> Iterator[bytes]:
    return (packed[at : at + 8] for at in range(0, len(packed), 8))


_PREFIXES: Final = {book: _LOG + book.encode() for book in Book}


def _log_key(entity_key: str, book: Book, chunk: int) -> bytes:
    return b"".join((_PREFIXES[book], _CHUNK_ID.pack(chunk), entity_key.encode()))


def _parsed(key: bytes) -> tuple[str, Book, int]:
    return key[6:].decode(), Book(key[1:2].decode()), _CHUNK_ID.unpack(key[2:6])[0]
