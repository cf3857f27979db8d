"""Arithmetic, comparisons and lists on columns against the same on one value after the other."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from rules.columns.values import Column, Operand, both_known, calculated, compared, is_member, packed
from rules.language.facts import OPERATORS, compute, number_of

WHOLE = st.sampled_from(
    [0, 1, -1, 2, 3, 7, 10**15, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1, 1 - 2**63]
)
BROKEN = st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.5, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 1e308, 5e-324])
# A column is of one kind or of two, and some of it is missing.
COLUMNS = st.one_of(*(st.lists(st.one_of(st.none(), kind), min_size=4, max_size=4) for kind in (WHOLE, BROKEN)))
MIXED = st.lists(st.one_of(st.none(), WHOLE, BROKEN), min_size=4, max_size=4)
# Constants of a rule may have more than 64 bits: amounts in currencies of four decimals.
CONSTANTS = st.one_of(WHOLE, BROKEN, st.sampled_from([10**19, -(10**19)]))
SIDES = st.one_of(COLUMNS, COLUMNS, MIXED, CONSTANTS)
Number = int | float
Side = Sequence[Number | None] | Number


def operand(side: Side) -> Operand:
    return packed(side) if isinstance(side, Sequence) else side


def listed(side: Side) -> Sequence[Number | None]:
    return side if isinstance(side, Sequence) else [side] * 4


def read(value: Operand) -> list[Number | None]:
    if not isinstance(value, Column):
        return [value] * 4
    known = [True] * 4 if value.known is None else value.known.tolist()
    return [each if there else None for each, there in zip(value.values.tolist(), known, strict=True)]


@given(op=st.sampled_from("+-*/"), left=SIDES, right=SIDES)
@example(op="/", left=[2**53 + 1] * 4, right=[3] * 4)
@example(op="-", left=[1 - 2**63] * 4, right=[1] * 4)
def test_arithmetic_is_that_of_single_values(op: str, left: Side, right: Side) -> None:
    expected = [compute(op, one, other) for one, other in zip(listed(left), listed(right), strict=True)]
    result = read(calculated(op, operand(left), operand(right), 4))
    assert [(type(value), value) for value in result] == [(type(value), value) for value in expected]


@given(op=st.sampled_from(sorted(OPERATORS)), left=SIDES, right=SIDES)
@example(op="==", left=[2**53 + 1] * 4, right=2.0**53)
@example(op="<", left=[2**63 - 1] * 4, right=[2.0**63] * 4)
@example(op="<", left=[2**63 - 1] * 4, right=10**19)
def test_comparisons_are_those_of_single_values(op: str, left: Side, right: Side) -> None:
    known = both_known(operand(left), operand(right))
    held = compared(op, operand(left), operand(right), 4).tolist()
    for row, (one, other) in enumerate(zip(listed(left), listed(right), strict=True)):
        assert (known is None or bool(known[row])) is (one is not None and other is not None)
        if one is not None and other is not None:
            assert held[row] is OPERATORS[op](one, other)


@given(item=SIDES, members=st.frozensets(st.one_of(WHOLE, BROKEN, st.just(10**19)), max_size=4))
def test_lists_hold_what_they_hold_of_single_values(item: Side, members: frozenset[Number]) -> None:
    inside = is_member(operand(item), members, 4).tolist()
    assert all(value is None or inside[row] is (value in members) for row, value in enumerate(listed(item)))


def test_a_column_of_one_kind_needs_no_objects() -> None:
    assert packed([1, None, 2**63 - 1]).is_whole
    assert packed([True, None, False]).is_whole
    assert not packed([0.5, None]).is_mixed
    assert packed([0.5, 1]).is_mixed
    assert all(number_of(value) == value for value in read(packed([1, 0.5, 2**62, -1])))
