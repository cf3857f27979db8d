"""The logs of an entity as their state records: what the records are called, and books that are not read yet."""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import Final

from rules.chunk import head_of, kept_until_ms
from rules.entity_books import Book, EntityBooks
from rules.kept_log import KeptLog

LOG: Final = b"L"
# A chunk's key: a head (the kind of record, the book, the chunk's id), then the entity's key.
HEAD_BYTES: Final = 6
_ID: Final = struct.Struct(">I")
# What `PackedBooks.chunks` holds of one.
_ONE_CHUNK: Final = 2
_BOOKS: Final = {ord(book): book for book in Book}


def prefix_of(book: Book) -> bytes:
    """How the keys of a book's chunks begin."""
    return LOG + book.encode()


def key_head(prefix: bytes, chunk: int) -> bytes:
    """The head of a chunk's key."""
    return prefix + _ID.pack(chunk)


class PackedBooks:
    """The books of an entity that nobody has asked for since they were read back.

    `chunks` are its state records as they were written: the head of a key, a value, and so on. `keep_until_ms` is when
    it is forgotten, and looked at for that.
    """

    __slots__ = ("chunks", "keep_until_ms")

    def __init__(self, chunks: tuple[bytes, ...]) -> None:
        self.chunks = chunks
        self.keep_until_ms = 0

    @property
    def due_ms(self) -> int:
        """When it is looked at whether it is forgotten."""
        return self.keep_until_ms

    def note(self) -> None:
        """Take notice of all chunks: until when they are kept, which is what the books they make would say."""
        chunks = self.chunks
        if len(chunks) == _ONE_CHUNK:
            self.keep_until_ms = kept_until_ms(chunks[1])
            return
        newest = {chunks[0][1]: (chunks[0], chunks[1])}
        for at in range(2, len(chunks), 2):
            head = chunks[at]
            if head[1] not in newest or head > newest[head[1]][0]:
                newest[head[1]] = head, chunks[at + 1]
        last_ms = keep_ms = fraud_until_ms = 0
        for code, (_, raw) in newest.items():
            head = head_of(raw)
            if code == _FRAUD:
                fraud_until_ms = head.last_ms + head.keep_ms
            else:
                last_ms, keep_ms = max(last_ms, head.last_ms), max(keep_ms, head.keep_ms)
        self.keep_until_ms = max(last_ms + keep_ms, fraud_until_ms)

    def unpacked(self) -> EntityBooks:
        """The books that these chunks were written from."""
        logs: defaultdict[Book, dict[int, bytes]] = defaultdict(dict)
        for at in range(0, len(self.chunks), 2):
            head = self.chunks[at]
            logs[_BOOKS[head[1]]][_ID.unpack_from(head, 2)[0]] = self.chunks[at + 1]
        books = EntityBooks()
        for book, chunks in logs.items():
            kept = KeptLog.restored(chunks)
            books.put(book, kept)
            books.note(0 if book is Book.FRAUD else kept.last_ms)
        books.due_ms = self.keep_until_ms
        return books


_FRAUD: Final = ord(Book.FRAUD)
