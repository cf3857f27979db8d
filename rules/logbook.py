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
from rules.velocity import Subject
from rules.windows import WindowLog

_LOG: Final = b"L"
_MERGED: Final = b"M"
_CHUNK_ID = struct.Struct(">I")
# Transactions whose rows were merged away, remembered by the fold in blocks, oldest out first.
_MERGED_BLOCKS = 1024
# An entity idle for this long beyond what its windows ask is forgotten: purchases may come that late.
_GRACE_MS = 86_400_000


class Book(StrEnum):
    """Which of an entity's logs: stations keep all purchases as approved, the desk knows better."""

    APPROVED = "a"
    DECLINED = "d"


_EMPTY = WindowLog()


class Logbook:
    """The logs of one fold, with what changed in them since it was last asked."""

    def __init__(self) -> None:
        self._logs: OrderedDict[tuple[str, Book], KeptLog] = OrderedDict()
        self._dirty: set[tuple[str, Book]] = set()
        self._merged: OrderedDict[int, bytes] = OrderedDict()
        self._merged_transactions: dict[bytes, int] = {}
        self._next_block = 0
        self._gone: dict[bytes, None] = {}
        self._new_blocks: list[int] = []

    def log(self, entity_key: str, book: Book = Book.APPROVED) -> WindowLog:
        """An entity's log; an empty one where there is none. Not to be changed."""
        kept = self._logs.get((entity_key, book))
        return kept.log if kept is not None else _EMPTY

    def knows(self, entity_key: str, transaction: bytes, book: Book = Book.APPROVED) -> bool:
        """Whether this transaction was entered into this log before."""
        return self.log(entity_key, book).has(transaction) or (
            bool(self._merged_transactions) and _merged_id(entity_key, transaction) in self._merged_transactions
        )

    def prepare(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        entity_key: str,
        event_time_ms: int,
        book: Book = Book.APPROVED,
    ) -> WindowLog:
        """The log to measure this entity by, rid of what is too old for a purchase at this time."""
        at = (entity_key, book)
        kept = self._logs.get(at)
        if kept is None:
            return _EMPTY
        if len(kept.log) and kept.expire(
            max(kept.last_ms, event_time_ms) - plan.horizon_ms - ruleset.allowed_lateness_ms
        ):
            self._dirty.add(at)
        return kept.log

    def enter(
        self,
        ruleset: RulesetPlan,
        plan: EntityPlan,
        entity_key: str,
        subject: Subject,
        book: Book = Book.APPROVED,
    ) -> None:
        """Enter a purchase that is not known yet."""
        at = (entity_key, book)
        kept = self._logs.get(at)
        if kept is None:
            kept = self._logs[at] = KeptLog()
        else:
            self._logs.move_to_end(at)
        kept.keep_ms = plan.horizon_ms + ruleset.allowed_lateness_ms + _GRACE_MS
        away = kept.enter(subject, plan.distinct_fields, ruleset.max_rows)
        if away:
            self._remember_merged(entity_key, away)
        self._dirty.add(at)

    def sweep(self, now_ms: int) -> None:
        """Forget the entities that nobody touched for longer than any window over them reaches.

        `now_ms` is the latest event time that the fold has seen. Only the longest untouched are looked at.
        """
        while self._logs:
            at, kept = next(iter(self._logs.items()))
            if len(kept.log) and kept.last_ms + kept.keep_ms >= now_ms:
                return
            for chunk in kept.clear():
                self._gone[_log_key(at, chunk)] = None
            del self._logs[at]
            self._dirty.discard(at)

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

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call, in a fixed order."""
        gone, self._gone = self._gone, {}
        written: dict[bytes, bytes | None] = dict(gone)
        for at in sorted(self._dirty):
            for chunk, raw in self._logs[at].changes():
                written[_log_key(at, chunk)] = raw
        self._dirty.clear()
        blocks, self._new_blocks = self._new_blocks, []
        for block in blocks:
            if block in self._merged:
                written[_MERGED + _CHUNK_ID.pack(block)] = self._merged[block]
        return iter(written.items())

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the state back from its records."""
        chunks: defaultdict[tuple[str, Book], dict[int, bytes]] = defaultdict(dict)
        blocks: dict[int, bytes] = {}
        for key, raw in records.items():
            if key[:1] == _LOG:
                at, chunk = _parsed(key)
                chunks[at][chunk] = raw
            elif key[:1] == _MERGED:
                blocks[_CHUNK_ID.unpack(key[1:])[0]] = raw
        logs = {at: KeptLog.restored(parts) for at, parts in chunks.items()}
        self._logs = OrderedDict(sorted(logs.items(), key=lambda item: item[1].last_ms))
        for block in sorted(blocks):
            self._add_block(block, blocks[block])
        self._next_block = max(blocks, default=-1) + 1


def _merged_id(entity_key: str, transaction: bytes) -> bytes:
    return blake2b(entity_key.encode() + b"\0" + transaction, digest_size=8).digest()


def _ids_in(packed: bytes) -> Iterator[bytes]:
    return (packed[at : at + 8] for at in range(0, len(packed), 8))


def _log_key(at: tuple[str, Book], chunk: int) -> bytes:
    return b"".join((_LOG, at[1].encode(), _CHUNK_ID.pack(chunk), at[0].encode()))


def _parsed(key: bytes) -> tuple[tuple[str, Book], int]:
    return (key[6:].decode(), Book(key[1:2].decode())), _CHUNK_ID.unpack(key[2:6])[0]
