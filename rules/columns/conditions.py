"""Conditions over columns: where each is true and where it is false, each part of them worked out once.

With three truth values neither is the other's negation: see `rules.language.codegen`, which says the same of one
purchase.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Final

import numpy as np

from rules.columns.features import Block, FeatureColumn
from rules.columns.local_time import hours_of, weekdays_of
from rules.columns.purchases import text_column
from rules.columns.table import MISSING, Bools, TextColumn
from rules.columns.values import Column, Operand, both_known, calculated, compared, is_member, nowhere_known, packed
from rules.language.facts import boolean_of, number_of, text_of
from rules.language.typed import (
    OPPOSITE,
    All,
    AttributeValue,
    Compare,
    Computed,
    Condition,
    Const,
    Constant,
    Either,
    FieldValue,
    IsIn,
    IsMissing,
    Negated,
    Type,
    Value,
)
from rules.plan import Feature

# A text of all rows alike is a constant too.
Operands = Operand | TextColumn | str
_READERS: Final[Mapping[Type, Callable[[object], Constant | None]]] = {
    Type.TEXT: text_of,
    Type.BOOLEAN: boolean_of,
}


class Judge:
    """Judges the purchases of one block. `feature` gives a feature's column."""

    def __init__(self, block: Block, time_zone: str, feature: Callable[[Feature], FeatureColumn]) -> None:
        self._block = block
        self._time_zone = time_zone
        self._feature = feature
        self._rows = len(block.table)
        self._truths: dict[tuple[Condition, bool], Bools] = {}
        self._values: dict[Value, Operands] = {}

    def holds(self, condition: Condition, *, as_true: bool = True) -> Bools:
        """Where a condition is true, or where it is false; where neither, it is unknown."""
        key = condition, as_true
        if key not in self._truths:
            self._truths[key] = self._judged(condition, as_true=as_true)
        return self._truths[key]

    def _judged(self, condition: Condition, *, as_true: bool) -> Bools:
        if isinstance(condition, All | Either):
            parts = [self.holds(operand, as_true=as_true) for operand in condition.operands]
            return reduce(np.logical_and if isinstance(condition, All) is as_true else np.logical_or, parts)
        if isinstance(condition, Negated):
            return self.holds(condition.operand, as_true=not as_true)
        if isinstance(condition, Compare):
            return self._compared(condition, as_true=as_true)
        if isinstance(condition, IsIn):
            return self._member(condition, as_true=as_true)
        value = self._value(condition.value)
        if isinstance(condition, IsMissing):
            known = self._everywhere(_known(value))
            return ~known if as_true else known
        return self._is(value, as_true=as_true)

    def _compared(self, condition: Compare, *, as_true: bool) -> Bools:
        op = condition.op if as_true else OPPOSITE[condition.op]
        left, right = self._value(condition.left), self._value(condition.right)
        if isinstance(left, TextColumn | str) or isinstance(right, TextColumn | str):
            return self._texts_compared(op, left, right)
        return _where(compared(op, left, right, self._rows), both_known(left, right))

    def _texts_compared(self, op: str, left: Operands, right: Operands) -> Bools:
        """Texts are compared by `==` and `!=` alone."""
        if isinstance(left, str) and isinstance(right, str):
            return np.full(self._rows, (left == right) is (op == "=="), np.bool_)
        if isinstance(left, str):
            left, right = right, left
        assert isinstance(left, TextColumn), "texts compare with texts"
        assert isinstance(right, TextColumn | str), "texts compare with texts"
        same = _is_text(left, right) if isinstance(right, str) else _same_texts(left, right)
        known = left.codes != MISSING
        if isinstance(right, TextColumn):
            known &= right.codes != MISSING
        return (same if op == "==" else ~same) & known

    def _member(self, condition: IsIn, *, as_true: bool) -> Bools:
        item, members = self._value(condition.item), condition.members
        if isinstance(item, TextColumn):
            inside = _by_text(item, lambda text: text in members)
        elif isinstance(item, str):
            inside = np.full(self._rows, item in members, np.bool_)
        else:
            inside = is_member(item, members, self._rows)
        return _where(inside if as_true is not condition.negated else ~inside, _known(item))

    def _is(self, value: Operands, *, as_true: bool) -> Bools:
        if isinstance(value, Column):
            return _where(value.values == as_true, value.known)
        return np.full(self._rows, value is as_true, np.bool_)

    def _everywhere(self, known: Bools | None) -> Bools:
        return np.ones(self._rows, np.bool_) if known is None else known

    # -- values -------------------------------------------------------------------------------------

    def _value(self, value: Value) -> Operands:
        if isinstance(value, Const):
            return value.value
        if value not in self._values:
            self._values[value] = self._read(value)
        return self._values[value]

    def _read(self, value: Value) -> Operands:
        if isinstance(value, FieldValue):
            return self._field(value.name)
        if isinstance(value, AttributeValue):
            return self._attribute(value.name, value.type)
        if isinstance(value, Computed):
            left, right = self._value(value.left), self._value(value.right)
            assert not isinstance(left, TextColumn | str), "arithmetic is of numbers"
            assert not isinstance(right, TextColumn | str), "arithmetic is of numbers"
            return calculated(value.op, left, right, self._rows)
        assert not isinstance(value, Const), "read before"
        return Column(*self._feature(value.feature))

    def _field(self, name: str) -> Operands:
        block = self._block
        match name:
            case "amount":
                return Column(block.amount_minor, None)
            case "hour":
                return Column(hours_of(block.local_ms(self._time_zone)), None)
            case "day_of_week":
                return Column(weekdays_of(block.local_ms(self._time_zone)), None)
            case "instalments":
                return Column(block.table.instalments, block.table.instalments != 0)
            case _:
                return block.table.texts[name]

    def _attribute(self, name: str, kind: Type) -> Operands:
        attributes = self._block.table.attributes
        if attributes is None:
            return text_column([None] * self._rows) if kind is Type.TEXT else nowhere_known(self._rows)
        if kind is Type.ANY:
            values = [row.get(name) for row in attributes]
            known = np.fromiter((value is not None for value in values), np.bool_, self._rows)
            return Column(np.fromiter(values, np.dtype(object), self._rows), known)
        reader = _READERS.get(kind, number_of)
        values = [reader(row.get(name)) for row in attributes]
        return text_column(values) if kind is Type.TEXT else packed(values)  # pyright: ignore[reportArgumentType]  # read as texts


def _known(value: Operands) -> Bools | None:
    if isinstance(value, TextColumn):
        return value.codes != MISSING
    return value.known if isinstance(value, Column) else None


def _where(holds: Bools, known: Bools | None) -> Bools:
    return holds if known is None else holds & known


def _by_text(column: TextColumn, test: Callable[[str], bool]) -> Bools:
    """A test of each text, by row; False where there is none."""
    passed = np.fromiter((test(text) for text in column.texts), np.bool_, len(column.texts))
    return np.append(passed, False)[column.codes]


def _is_text(column: TextColumn, wanted: str) -> Bools:
    return _by_text(column, lambda text: text == wanted)


def _same_texts(left: TextColumn, right: TextColumn) -> Bools:
    """Where two texts are the same; where one is missing it says nothing."""
    numbers = {text: number for number, text in enumerate(left.texts)}
    other = np.fromiter((numbers.get(text, -2) for text in right.texts), np.int64, len(right.texts))
    return left.codes == np.append(other, -2)[right.codes]
