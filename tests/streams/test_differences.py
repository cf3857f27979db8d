"""Where two values of JSON differ."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.differences import Difference, differences

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0]) | st.sampled_from(["", "a", "absent"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"action": "approve"}, {"action": "block"}, [("action", "approve", "block")]),
        ({"a": 1}, {"a": "1"}, [("a", "1", '"1"')]),
        ({"a": 1}, {"a": True}, [("a", "1", "true")]),
        ({"a": 1}, {"a": 1.0}, [("a", "1", "1.0")]),
        ({"a": None}, {}, [("a", "null", "absent")]),
        ({}, {"a": "absent"}, [("a", "absent", '"absent"')]),
        ({"a": [{"b": 1}, 2]}, {"a": [{"b": 3}]}, [("a[0].b", "1", "3"), ("a[1]", "2", "absent")]),
        ({"a": {"b": 1}}, {"a": [1]}, [("a", '{"b":1}', "[1]")]),
        ({"a": "x" * 300}, {"a": "y"}, [("a", "x" * 200 + "…", "y")]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        (1, 2, [("", "1", "2")]),
    ],
)
def test_each_place_is_told_with_both_sides(one: object, other: object, expected: list[tuple[str, str, str]]) -> None:
    assert list(differences(one, other)) == expected


@given(JSON, JSON)
def test_there_is_a_difference_where_the_values_are_not_the_same(one: object, other: object) -> None:
    def text(value: object) -> bytes:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)

    assert bool(list(differences(one, other))) == (text(one) != text(other))


@given(JSON, JSON)
def test_from_the_other_side_the_same_places_differ(one: object, other: object) -> None:
    turned = {Difference(path, ours, theirs) for path, theirs, ours in differences(other, one)}
    assert set(differences(one, other)) == turned
