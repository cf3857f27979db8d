"""What is to be looked at some time, by spans of time: within one it lies as it came, which costs next to nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

NEVER_MS: Final = 2**63 - 1

_Thing = TypeVar("_Thing")


class Spans(Generic[_Thing]):
    """Things by the span in which they are to be looked at.

    The first span that has any begins at `begins_ms`, NEVER_MS where there is none.
    """

    def __init__(self, bits: int) -> None:
        """A span has so many milliseconds as a power of two."""
        self._bits = bits
        self._things: dict[int, list[_Thing]] = {}
        # Which spans these are, in order.
        self._order: list[int] = []
        self.begins_ms = NEVER_MS

    def __len__(self) -> int:
        return sum(map(len, self._things.values()))

    def span_of(self, at_ms: int) -> int:
        """The span that a time is in, by its number."""
        return at_ms >> self._bits

    def enter(self, thing: _Thing, at_ms: int) -> None:
        """A thing is to be looked at in the span that this time is in."""
        span = at_ms >> self._bits
        things = self._things.get(span)
        if things is None:
            self._things[span] = [thing]
            heappush(self._order, span)
            self._look()
        else:
            things.append(thing)

    def enter_all(self, things: Iterable[_Thing], times_ms: Iterable[int]) -> None:
        """Many things are to be looked at, each in the span that its time is in."""
        bits, by_span = self._bits, defaultdict[int, list[_Thing]](list, self._things)
        for thing, at_ms in zip(things, times_ms, strict=True):
            by_span[at_ms >> bits].append(thing)
        self._things = dict(by_span)
        self._order = sorted(by_span)
        self._look()

    def take_until(self, span: int) -> Iterator[tuple[int, list[_Thing]]]:
        """The spans up to this one and with it, in order, and what is to be looked at in them; taken out."""
        while self._order and self._order[0] <= span:
            first = heappop(self._order)
            things = self._things.pop(first)
            self._look()
            yield first, things

    def keep_only(self, those: Callable[[int, list[_Thing]], list[_Thing]]) -> None:
        """Let go of all but `those` of each span."""
        kept = {span: those(span, things) for span, things in self._things.items()}
        self._things = {span: things for span, things in kept.items() if things}
        self._order = sorted(self._things)
        self._look()

    def _look(self) -> None:
        order = self._order
        self.begins_ms = order[0] << self._bits if order else NEVER_MS
