"""The logs of an entity as their state records: what these are called, and books that nobody has asked for yet."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, TypeAlias

from rules.chunk import head_of, kept_until_ms
from rules.entity_books import Book, EntityBooks
from rules.kept_log import KeptLog

LOG: Final = b"L"
# A chunk's key: a head (the kind of record, the book, the chunk's id), then the entity's key.
HEAD_BYTES: Final = 6
_BOOK_AT: Final = 1
_ID: Final = struct.Struct(">I")
_ID_AT: Final = 2
_BOOKS: Final = {ord(book): book for book in Book}
_FRAUD: Final = ord(Book.FRAUD)

# The books of an entity as they were written: of each chunk the head of its key, and its value. Most have one.
Packed: TypeAlias = bytes | tuple[bytes, ...]


def prefix_of(book: Book) -> bytes:
    """How the keys of a book's chunks begin."""
    return LOG + book.encode()


def key_head(prefix: bytes, chunk: int) -> bytes:
    """The head of a chunk's key."""
    return prefix + _ID.pack(chunk)


def packed_chunks(packed: Packed) -> Sequence[bytes]:
    """The chunks of packed books."""
    return (packed,) if isinstance(packed, bytes) else packed


def packed_until_ms(packed: Packed) -> int:
    """Until when packed books are kept, which is what the books they make would say."""
    if isinstance(packed, bytes):
        return kept_until_ms(packed, HEAD_BYTES)
    newest: dict[int, bytes] = {}
    for chunk in packed:
        code = chunk[_BOOK_AT]
        if code not in newest or chunk[:HEAD_BYTES] > newest[code][:HEAD_BYTES]:
            newest[code] = chunk
    last_ms = keep_ms = fraud_until_ms = 0
    for code, chunk in newest.items():
        head = head_of(chunk[HEAD_BYTES:])
        if code == _FRAUD:
            fraud_until_ms = head.last_ms + head.keep_ms
        else:
            last_ms, keep_ms = max(last_ms, head.last_ms), max(keep_ms, head.keep_ms)
    return max(last_ms + keep_ms, fraud_until_ms)


def unpack_books(packed: Packed) -> EntityBooks:
    """The books that these chunks were written from."""
    logs: defaultdict[Book, dict[int, bytes]] = defaultdict(dict)
    for chunk in packed_chunks(packed):
        logs[_BOOKS[chunk[_BOOK_AT]]][_ID.unpack_from(chunk, _ID_AT)[0]] = chunk[HEAD_BYTES:]
    books = EntityBooks()
    for book, chunks in logs.items():
        kept = KeptLog.restored(chunks)
        books.put(book, kept)
        books.note(0 if book is Book.FRAUD else kept.last_ms)
    books.due_ms = packed_until_ms(packed)
    return books
