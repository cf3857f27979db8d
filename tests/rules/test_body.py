"""Bodies: the same purchase has one, however it was written, and another one's differing fields are named."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from models.plain_purchase import plain_purchase
from models.purchase import Purchase, decode_purchase
from rules.body import FIELDS, OTHERS, Body, body_from, body_of, differing_fields, others_of
from tests.models.records import PURCHASE, WHOLE

OTHER: dict[str, Any] = {
    "amount": 2000,
    "currency": "USD",
    "event_time": PURCHASE["event_time"] + 1,
    "merchant_id": "m-2",
    "mcc": "5999",
    "card_id": "c-2",
    "device_id": None,
    "ip": "203.0.113.8",
    "country": "DE",
    "channel": "app",
    "location": {"lat": 31.2, "lon": 121.6},
    "instalments": {"count": 4, "interval_days": 30},
    "attributes": {"basket": 4, "gift": False},
}


def body(fields: dict[str, Any]) -> Body:
    return body_of(decode_purchase(orjson.dumps(fields)))


def test_every_field_but_those_that_a_body_is_found_by_is_in_it() -> None:
    assert {*FIELDS} == {*OTHER}


@pytest.mark.parametrize("fields", [WHOLE, OTHER | PURCHASE, dict(PURCHASE)])
def test_whoever_read_the_purchase_its_body_is_the_same(fields: dict[str, Any]) -> None:
    raw = orjson.dumps(fields)
    plain = plain_purchase(raw)
    assert plain is not None
    assert body_of(plain) == body_of(TypeAdapter(Purchase).validate_json(raw)) == body(fields)


def test_the_order_of_fields_and_attributes_makes_no_difference() -> None:
    turned = dict(reversed(WHOLE.items())) | {"attributes": {"gift": True, "basket": 4}}
    assert body(turned) == body(WHOLE)
    assert not differing_fields(body(turned), body(WHOLE))


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_differs_is_named(field: str) -> None:
    assert differing_fields(body(WHOLE), body({**WHOLE, field: OTHER[field]})) == [field]


def test_all_fields_that_differ_are_named() -> None:
    assert list(differing_fields(body(WHOLE), body({**WHOLE, **OTHER}))) == list(FIELDS)


def test_a_body_is_the_same_in_every_process_and_release() -> None:
    assert body(WHOLE).others[-3:] == ("4175588985976791", "d8a6c7cccf0a6889", "7589fd315af4834c")


def test_what_stands_for_the_other_fields_is_json_and_gives_the_body_again() -> None:
    for fields in (WHOLE, dict(PURCHASE), OTHER | PURCHASE):
        bought = decode_purchase(orjson.dumps(fields))
        others = orjson.loads(orjson.dumps(others_of(bought)))
        assert len(others) == OTHERS
        assert body_from(bought.amount, bought.currency, bought.event_time, others) == body_of(bought)


@pytest.mark.parametrize(
    ("one", "other"), list(combinations([1, 1.0, True, "1", 0, -0.0, False, "", "True", 10**18, "商"], 2))
)
def test_attributes_of_different_types_or_values_differ(one: object, other: object) -> None:
    bodies = [body({**WHOLE, "attributes": {"a": value}}) for value in (one, other)]
    assert differing_fields(*bodies) == ["attributes"]


def test_a_number_of_any_size_may_be_an_attribute() -> None:
    raw = orjson.dumps(WHOLE).replace(b'"basket":4', b'"basket":1' + b"0" * 1_000)
    assert differing_fields(body_of(decode_purchase(raw)), body(WHOLE)) == ["attributes"]


@pytest.mark.parametrize("field", [field for field in FIELDS if field not in PURCHASE])
def test_a_field_that_is_missing_in_one_is_named(field: str) -> None:
    without = {name: value for name, value in WHOLE.items() if name != field}
    assert differing_fields(body(WHOLE), body(without)) == [field]
    assert differing_fields(body(without), body(WHOLE)) == [field]


def test_neither_a_field_nor_its_neighbour_can_stand_for_the_other() -> None:
    one, other = {**PURCHASE, "card_id": "x"}, {**PURCHASE, "device_id": "x"}
    assert differing_fields(body(one), body(other)) == ["card_id", "device_id"]
