"""Values of many purchases at once, and arithmetic and comparisons with them, exact as those of one purchase are.

Where machine numbers would round or overflow, the rows are worked through one by one.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.columns.table import Bools
from rules.language.facts import OPERATORS, compute
from rules.language.typed import Constant

Number = int | float
# Whole numbers up to this are floats without rounding.
_EXACT: Final = 2**53
_MAX_WHOLE: Final = 2**63 - 1
_CALCULATIONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": np.true_divide,
}


class Column(NamedTuple):
    """A number or truth value for each of n rows, and where it is known (None: everywhere).

    `values` are int64, float64, or Python's own objects where whole numbers and others are mixed; truth values
    are the numbers 0 and 1. What is not known is 0.
    """

    values: NDArray[Any]
    known: Bools | None

    @property
    def is_mixed(self) -> bool:
        """Whether the values are Python objects."""
        return self.values.dtype == object

    @property
    def is_whole(self) -> bool:
        """Whether all values are whole numbers of 64 bits."""
        return self.values.dtype == np.int64

    def largest(self) -> int:
        """The largest absolute value of whole numbers."""
        if not len(self.values):
            return 0
        return max(int(self.values.max()), -int(self.values.min()))


# A value of all rows alike is a constant.
Operand = Column | bool | int | float


def both_known(left: Operand, right: Operand) -> Bools | None:
    """Where two values are known; None for everywhere."""
    masks = [side.known for side in (left, right) if isinstance(side, Column) and side.known is not None]
    if len(masks) > 1:
        return masks[0] & masks[1]
    return masks[0] if masks else None


def nowhere_known(rows: int) -> Column:
    """A value that no row has."""
    return Column(np.zeros(rows, np.int64), np.zeros(rows, np.bool_))


def packed(values: Sequence[Constant | None]) -> Column:
    """A column of these numbers or truth values, None where one is not known."""
    known = np.fromiter((value is not None for value in values), np.bool_, len(values))
    kinds = {type(value) for value in values if value is not None}
    kind = np.float64 if kinds == {float} else np.int64 if kinds <= {int, bool} and _fit(values) else object
    return Column(np.array([0 if value is None else value for value in values], kind), known)


def _fit(values: Sequence[Any]) -> bool:
    return all(value is None or abs(value) <= _MAX_WHOLE for value in values)


def compared(op: str, left: Operand, right: Operand, rows: int) -> Bools:
    """Whether a comparison holds, row by row; it says nothing where a side is not known."""
    if not isinstance(left, Column) and not isinstance(right, Column):
        return np.full(rows, OPERATORS[op](left, right), np.bool_)
    if _comparable(left, right):
        return OPERATORS[op](_plain(left), _plain(right))  # pyright: ignore[reportReturnType]  # arrays compare to arrays
    compare = OPERATORS[op]
    ones, others = _listed(left, rows), _listed(right, rows)
    return np.fromiter((compare(one, other) for one, other in zip(ones, others, strict=True)), np.bool_, rows)


def _plain(side: Operand) -> Any:
    return side.values if isinstance(side, Column) else side


def _is_whole(side: Operand) -> bool:
    return side.is_whole if isinstance(side, Column) else isinstance(side, int)


def _is_mixed(side: Operand) -> bool:
    return isinstance(side, Column) and side.is_mixed


def _size(side: Operand) -> int:
    return side.largest() if isinstance(side, Column) else abs(int(side))


def _comparable(left: Operand, right: Operand) -> bool:
    """Whether numpy compares these as Python does."""
    if _is_mixed(left) or _is_mixed(right):
        return False
    if _is_whole(left) is _is_whole(right):
        return True
    return all(_size(side) <= _EXACT for side in (left, right) if _is_whole(side))


def _listed(side: Operand, rows: int) -> list[Any]:
    return side.values.tolist() if isinstance(side, Column) else [side] * rows


def calculated(op: str, left: Operand, right: Operand, rows: int) -> Operand:
    """Arithmetic: not known where a side is not, for a division by zero, and for what is no number of 64 bits."""
    if not isinstance(left, Column) and not isinstance(right, Column):
        result = compute(op, left, right)
        return nowhere_known(rows) if result is None else result
    known = both_known(left, right)
    if _calculable(op, left, right):
        with np.errstate(all="ignore"):
            values: NDArray[Any] = _CALCULATIONS[op](_operand(op, left, right), _operand(op, right, left))
        if values.dtype == np.int64:
            return Column(values, known)
        finite = np.isfinite(values)
        known = finite if known is None else known & finite
        return Column(np.where(finite, values, 0.0), known)
    ones, others = _listed(left, rows), _listed(right, rows)
    results = [compute(op, one, other) for one, other in zip(ones, others, strict=True)]
    if known is not None:
        results = [result if is_known else None for result, is_known in zip(results, known.tolist(), strict=True)]
    return packed(results)


def _calculable(op: str, left: Operand, right: Operand) -> bool:
    """Whether numpy calculates with these as Python does."""
    if _is_mixed(left) or _is_mixed(right):
        return False
    if not (_is_whole(left) and _is_whole(right)):
        return True
    if op == "/":
        return _size(left) <= _EXACT and _size(right) <= _EXACT
    most = _size(left) * _size(right) if op == "*" else _size(left) + _size(right)
    return max(most, _size(left), _size(right)) <= _MAX_WHOLE


def _operand(op: str, side: Operand, other: Operand) -> Any:
    """A side as machine numbers of one kind, floats unless both are whole."""
    if op != "/" and _is_whole(side) and _is_whole(other):
        return side.values if isinstance(side, Column) else np.int64(side)
    return side.values.astype(np.float64) if isinstance(side, Column) else np.float64(side)


def is_member(item: Operand, members: frozenset[Constant], rows: int) -> Bools:
    """Whether each value is one of a list; it says nothing where it is not known."""
    if not isinstance(item, Column):
        return np.full(rows, item in members, np.bool_)
    if item.is_mixed:
        return np.fromiter((value in members for value in item.values.tolist()), np.bool_, rows)
    values, inverse = np.unique(item.values, return_inverse=True)
    return np.fromiter((value in members for value in values.tolist()), np.bool_, len(values))[inverse]
