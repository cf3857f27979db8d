"""The values that something may have: an interval, a few values, all but a few; narrowed by what is assumed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from rules.language.facts import OPERATORS
from rules.language.typed import Constant

# Of a short interval of whole numbers each is looked at.
_SHORT: Final = 64


@dataclass(frozen=True, slots=True)
class Possible:
    """Never more values than these. `low` and `high` bound numbers; `among` None means any value.

    Bounds of whole numbers are whole and closed.
    """

    low: int | float | None = None
    high: int | float | None = None
    low_open: bool = False
    high_open: bool = False
    whole: bool = False
    among: frozenset[Constant] | None = None
    without: frozenset[Constant] = frozenset()

    def narrowed(self, op: str, value: Constant) -> Possible:
        """Those of the values of which `op value` is true."""
        if op == "==":
            return self.within([value])
        if op == "!=":
            return self.outside([value])
        assert isinstance(value, int | float), "only numbers are ordered"
        if op in (">", ">="):
            return self._above(value, is_open=op == ">")
        return self._below(value, is_open=op == "<")

    def within(self, members: Iterable[Constant]) -> Possible:
        """Those of the values that are among the members."""
        kept = frozenset(members)
        return replace(self, among=kept if self.among is None else self.among & kept)

    def outside(self, members: Iterable[Constant]) -> Possible:
        """Those of the values that are not among the members."""
        return replace(self, without=self.without | frozenset(members))

    def is_empty(self) -> bool:
        """Whether no value is left; where it says no, one may be left."""
        if self.among is not None:
            return not any(self._has(value) for value in self.among)
        if self.low is None or self.high is None or self.low < self.high - _SHORT:
            return False
        if self.whole:
            numbers = range(math.ceil(self.low), math.floor(self.high) + 1)
            return all(number in self.without for number in numbers)
        if self.low < self.high:
            return False
        return self.low > self.high or self.low_open or self.high_open or self.low in self.without

    def _above(self, value: int | float, *, is_open: bool) -> Possible:
        if self.whole:
            value, is_open = math.floor(value) + 1 if is_open else math.ceil(value), False
        if self.low is not None and (self.low > value or (self.low == value and self.low_open)):
            return self
        return replace(self, low=value, low_open=is_open)

    def _below(self, value: int | float, *, is_open: bool) -> Possible:
        if self.whole:
            value, is_open = math.ceil(value) - 1 if is_open else math.floor(value), False
        if self.high is not None and (self.high < value or (self.high == value and self.high_open)):
            return self
        return replace(self, high=value, high_open=is_open)

    def _has(self, value: Constant) -> bool:
        if value in self.without:
            return False
        if not isinstance(value, int | float):
            return True
        if self.low is not None and not OPERATORS[">" if self.low_open else ">="](value, self.low):
            return False
        if self.high is not None and not OPERATORS["<" if self.high_open else "<="](value, self.high):
            return False
        return not self.whole or value == math.floor(value)
