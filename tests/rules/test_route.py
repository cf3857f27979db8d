"""Routes: what goes into a header comes out of it, and nothing else is taken for one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fold import Record
from rules.route import PURCHASE, ROUTE_HEADER, InvalidRouteError, Origin, Route, read_route, with_route

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.lists(st.tuples(st.none() | INT64, st.lists(st.none() | INT64, max_size=2)), max_size=3)
ROUTES = st.builds(
    Route,
    kind=TEXTS,
    ruleset=TEXTS,
    origin=st.builds(Origin, TEXTS, INT64, INT64, INT64),
    key=st.none() | st.binary(max_size=8),
    has_account_key=st.booleans(),
    stops=st.lists(TEXTS, max_size=3).map(tuple),
    stamps=st.lists(st.tuples(TEXTS, VALUES), max_size=3).map(tuple),
    late=st.booleans(),
)
HEADERS = st.lists(st.tuples(TEXTS, st.none() | st.binary(max_size=8)), max_size=2).map(tuple)
FIELDS: list[Any] = [
    PURCHASE,
    "checkout@1",
    ["purchases", 0, 7, 1],
    None,
    True,
    ["ip:::1"],
    [["ip", [[1, [2]]]]],
    False,
]
FORGED: list[tuple[int, object]] = [
    (0, None),
    (0, 1),
    (1, []),
    (2, ["purchases"]),
    (2, ["purchases", 0, 7, 1, 1]),
    (2, ["purchases", 0, 7.5, 1]),
    (2, ["purchases", 0, True, 1]),
    (2, {"topic": "purchases"}),
    (3, "no base64"),
    (3, 1),
    (4, 1),
    (5, [1]),
    (5, "ip"),
    (6, [7]),
    (6, [["ip", [[1.5, []]]]]),
    (6, [["ip", [["x", []]]]]),
    (6, [["ip", [[1, [True]]]]]),
    (6, [["ip", [[1]]]]),
    (6, [[1, []]]),
    (7, None),
]


def record(text: bytes | None) -> Record:
    # Kafka knows headers without a value, whatever its clients' types say.
    return Record(0, 0, None, b"{}", ((ROUTE_HEADER, text),))  # pyright: ignore[reportArgumentType]


@given(headers=HEADERS, route=ROUTES)
def test_a_route_is_read_as_it_was_written_and_other_headers_stay(headers: Any, route: Route) -> None:
    assert read_route(Record(0, 0, None, b"{}", with_route(headers, route))) == (route, headers)


def test_the_fields_that_the_forged_ones_are_made_of_are_a_route() -> None:
    route, _ = read_route(record(orjson.dumps(FIELDS)))
    assert route == Route(
        PURCHASE, "checkout@1", Origin("purchases", 0, 7, 1), None, True, ("ip:::1",), (("ip", [(1, [2])]),)
    )


@pytest.mark.parametrize(("place", "value"), FORGED)
def test_a_field_of_another_type_is_no_route(place: int, value: object) -> None:
    fields = [value if number == place else field for number, field in enumerate(FIELDS)]
    with pytest.raises(InvalidRouteError, match=f"{ROUTE_HEADER} can't be read"):
        read_route(record(orjson.dumps(fields)))


@pytest.mark.parametrize("number", [b"9223372036854775808", b"-9223372036854775809", b"9" * 5_000, b"1e3"])
@pytest.mark.parametrize("place", [b",7,", b"[1,", b"[2]"])
def test_a_number_that_no_state_has_room_for_is_no_route(place: bytes, number: bytes) -> None:
    text = orjson.dumps(FIELDS)
    forged = text.replace(place, place[:1] + number + place[2:])
    assert forged != text
    with pytest.raises(InvalidRouteError):
        read_route(record(forged))


@pytest.mark.parametrize("text", [None, b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_other_bytes_are_no_route(text: bytes | None) -> None:
    with pytest.raises(InvalidRouteError):
        read_route(record(text))


@pytest.mark.parametrize("headers", [(), ((ROUTE_HEADER, orjson.dumps(FIELDS)), ("another", b""))])
def test_a_route_is_the_last_header(headers: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(InvalidRouteError, match="the last header"):
        read_route(Record(0, 0, None, b"{}", headers))


@given(raw=st.binary(max_size=80))
def test_whatever_bytes_there_are_they_are_a_route_or_refused(raw: bytes) -> None:
    try:
        route, _ = read_route(record(raw))
    except InvalidRouteError:
        return
    assert isinstance(route, Route)
