"""When entities are to be looked at whether they are forgotten: exactly where that is soon, else by spans of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

from rules.entity_books import EntityBooks
from rules.holder import Holder
from rules.packed_books import Packed, packed_until_ms
from rules.spans import Spans

# Half a minute, as `Spans` has them: when one begins, all that is in it is brought into order at once.
_SPAN_BITS: Final = 15


class EntityAgenda:
    """Entities by the time at which their books say that they are due.

    What was entered with another time than the books say by now is out of date, and passed over.
    """

    def __init__(self, get: Callable[[str], Holder]) -> None:
        """`get` finds an entity by its key."""
        self._get = get
        # In order; until which span all are; and those of later spans as they came.
        self._soon: list[tuple[int, str]] = []
        self._soon_until: float = -inf
        self._later = Spans[Holder](_SPAN_BITS)

    def enter(self, holder: Holder, at_ms: int) -> None:
        """An entity is to be looked at when this time is over, as its books say."""
        if self._later.span_of(at_ms) > self._soon_until:
            self._later.enter(holder, at_ms)
        else:
            heappush(self._soon, (at_ms, holder.entity_key))

    def begin_with(self, holders: Iterable[Holder], times_ms: Iterable[int]) -> None:
        """Enter many entities, before time has passed."""
        self._later.enter_all(holders, times_ms)

    def over(self, now_ms: int) -> Iterator[tuple[Holder, EntityBooks | Packed]]:
        """The entities whose time is over, taken out, with their books; some of them may be entered anew meanwhile."""
        if now_ms >= self._later.begins_ms:
            self._come_to(now_ms)
        soon = self._soon
        while soon and soon[0][0] < now_ms:
            at_ms, entity_key = heappop(soon)
            holder = self._get(entity_key)
            books = holder.books
            if books is not None and _due_ms(books) == at_ms:
                yield holder, books

    def _come_to(self, now_ms: int) -> None:
        """Bring the spans that have begun into order."""
        later, soon = self._later, self._soon
        self._soon_until = later.span_of(now_ms)
        for span, holders in later.take_until(self._soon_until):
            for holder in holders:
                if holder.books is not None:
                    due_ms = _due_ms(holder.books)
                    if later.span_of(due_ms) == span:
                        soon.append((due_ms, holder.entity_key))
        heapify(soon)


def _due_ms(books: EntityBooks | Packed) -> int:
    return books.due_ms if isinstance(books, EntityBooks) else packed_until_ms(books)
