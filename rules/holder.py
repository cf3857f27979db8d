"""Who has books: an account, or any other entity by itself."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from rules.entity_books import EntityBooks
from rules.packed_books import Packed

# None where nothing was bought, or all of it is forgotten.
Books: TypeAlias = EntityBooks | Packed | None


class Holder(Protocol):
    """Who has books, and the key by which they are told apart in the state."""

    books: Books

    @property
    def entity_key(self) -> str: ...  # noqa: D102  # named by the class


class Entity:
    """An entity that is nothing but its books."""

    __slots__ = ("books", "entity_key")

    def __init__(self, entity_key: str) -> None:
        self.entity_key = entity_key
        self.books: Books = None
