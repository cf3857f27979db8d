"""What is a purchase and what is not, and what a person is told about it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.purchase import InvalidPurchase, decode_purchase
from tests.models.records import PURCHASE, with_field, without_field

AN_ID = "is not text of 1 to 128 characters without spaces, control characters or emoji"
AN_AMOUNT = "is not a whole number of minor units from 1 to 10^15, e.g. 1999 for 19.99 CNY"
A_CATEGORY = 'is not a merchant category of ISO 18245: four digits as text, e.g. "5411"'
A_COUNTRY = "is not a country code of ISO 3166-1: two capital letters, e.g. CN"
AN_ADDRESS = "is not an IPv4 or IPv6 address, e.g. 203.0.113.7"
A_TIME = (
    "is not a time from 2000 to 2099 in epoch milliseconds (not seconds) or RFC 3339 with an offset,"
    " e.g. 2026-03-01T12:00:00Z"
)
AN_ATTRIBUTE = "is not text, a finite number, true or false: leave nested values out"
NO_OBJECT = "is not a JSON object: send the fields in braces"

GOOD: list[tuple[str, object]] = [
    ("amount", 1),
    ("amount", 10**15),
    ("currency", "JPY"),
    ("event_time", 946_684_800_000),
    ("transaction_id", "x" * 128),
    ("merchant_id", "商户-7"),
    ("card_id", None),
    ("device_id", "d-1"),
    ("ip", "203.0.113.7"),
    ("country", "CN"),
    ("channel", "web"),
    ("location", {"lat": -90, "lon": 180.0}),
    ("location", None),
    ("instalments", {"count": 60, "interval_days": 366}),
    ("attributes", {"gift": True, "items": 3, "weight": 1.5, "note": "a b"}),
    ("attributes", {str(number): number for number in range(32)}),
]

BAD: list[tuple[str, object, str]] = [
    ("amount", 0, f"amount: 0 {AN_AMOUNT}"),
    ("amount", 10**15 + 1, f"amount: 1000000000000001 {AN_AMOUNT}"),
    ("amount", 19.99, f"amount: 19.99 {AN_AMOUNT}"),
    ("amount", "1999", f"amount: '1999' {AN_AMOUNT}"),
    ("amount", True, f"amount: true {AN_AMOUNT}"),
    ("amount", None, f"amount: null {AN_AMOUNT}"),
    ("currency", "XYZ", "currency: 'XYZ' is not an ISO 4217 code, e.g. CNY"),
    ("currency", "cny", "currency: 'cny' is not an ISO 4217 code, e.g. CNY"),
    ("currency", 156, "currency: 156 is not an ISO 4217 code, e.g. CNY"),
    ("event_time", 1_772_431_200, f"event_time: 1772431200 {A_TIME}"),
    ("event_time", 1_772_431_200_000_000, f"event_time: 1772431200000000 {A_TIME}"),
    ("event_time", "2026-03-01 12:00", f"event_time: '2026-03-01 12:00' {A_TIME}"),
    ("event_time", "1999-12-31T23:59:59Z", f"event_time: '1999-12-31T23:59:59Z' {A_TIME}"),
    ("transaction_id", "", f"transaction_id: '' {AN_ID}"),
    ("transaction_id", "x" * 129, f"transaction_id: '{'x' * 39}… {AN_ID}"),
    ("account_id", "a 1", f"account_id: 'a 1' {AN_ID}"),
    ("account_id", "a-1\n", f"account_id: 'a-1\\n' {AN_ID}"),
    ("device_id", ["d-1"], f"device_id: an array {AN_ID}"),
    ("mcc", 5411, f"mcc: 5411 {A_CATEGORY}"),
    ("mcc", "541", f"mcc: '541' {A_CATEGORY}"),
    ("ip", "1.2.3", f"ip: '1.2.3' {AN_ADDRESS}"),
    ("ip", "", f"ip: '' {AN_ADDRESS}"),
    ("ip", 16909060, f"ip: 16909060 {AN_ADDRESS}"),
    ("country", "China", f"country: 'China' {A_COUNTRY}"),
    ("location", {"lat": 91, "lon": 0}, "location.lat: 91 is not a latitude in degrees from -90 to 90"),
    ("location", {"lat": 0}, "location.lon: is required but missing: add it"),
    ("location", [0, 0], f"location: an array {NO_OBJECT}"),
    ("instalments", {"count": 0}, "instalments.count: 0 is not a whole number from 1 to 60"),
    ("attributes", {"a": [1]}, f"attributes.a: an array {AN_ATTRIBUTE}"),
    ("attributes", {"a": None}, f"attributes.a: null {AN_ATTRIBUTE}"),
    ("attributes", {"a b": 1}, f"attributes.a b: 'a b' {AN_ID}"),
    (
        "attributes",
        {str(number): number for number in range(33)},
        "attributes: has more than 32 entries: leave some out",
    ),
    ("colour", "red", "colour: is not a field of this record: correct its name or leave it out"),
]

NOT_A_RECORD: list[tuple[bytes, str]] = [
    (b"", "is not valid JSON in UTF-8: EOF while parsing a value at line 1 column 0"),
    (b"{", "is not valid JSON in UTF-8: EOF while parsing an object at line 1 column 1"),
    (b"\xff\xfe", "is not valid JSON in UTF-8: expected value at line 1 column 1"),
    (b"null", f"null {NO_OBJECT}"),
    (b"[]", f"an array {NO_OBJECT}"),
    (b"5", f"5 {NO_OBJECT}"),
]


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_a_good_value_is_read_as_it_is(field: str, value: Any) -> None:
    read = getattr(decode_purchase(with_field(PURCHASE, field, value)), field)
    assert (read.model_dump() if hasattr(read, "model_dump") else read) == value


@pytest.mark.parametrize(("field", "value", "message"), BAD)
def test_a_bad_value_is_named_with_what_is_wanted(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidPurchase) as caught:
        decode_purchase(with_field(PURCHASE, field, value))
    assert str(caught.value) == f"purchase: {message}"


@pytest.mark.parametrize(("raw", "message"), NOT_A_RECORD)
def test_bytes_that_are_no_record_are_refused(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidPurchase) as caught:
        decode_purchase(raw)
    assert str(caught.value) == f"purchase: the record: {message}"


@pytest.mark.parametrize("field", PURCHASE)
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(InvalidPurchase, match=f"^purchase: {field}: is required but missing: add it$"):
        decode_purchase(without_field(PURCHASE, field))


def test_the_other_problems_are_counted() -> None:
    raw = orjson.dumps({**PURCHASE, "amount": 0, "mcc": "x", "ip": "x"})
    with pytest.raises(InvalidPurchase, match=r"^purchase: amount: 0 .* \(and 2 more\)$"):
        decode_purchase(raw)


@pytest.mark.parametrize("number", ["1e999", "NaN", "Infinity", "9" * 4000, "9" * 5000])
def test_a_number_out_of_all_range_is_refused_in_one_short_line(number: str) -> None:
    raw = with_field(PURCHASE, "amount", 0).replace(b'"amount":0', b'"amount":' + number.encode())
    with pytest.raises(InvalidPurchase) as caught:
        decode_purchase(raw)
    assert len(str(caught.value)) < 250


@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(orjson.dumps))
def test_no_bytes_do_anything_but_decode_or_raise_one_line(raw: bytes) -> None:
    with pytest.raises(InvalidPurchase) as caught:
        decode_purchase(raw)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(sorted(PURCHASE)), st.text(max_size=300))
def test_whatever_text_a_field_holds_the_message_is_one_short_line(field: str, text: str) -> None:
    try:
        decode_purchase(with_field(PURCHASE, field, text))
    except InvalidPurchase as error:
        message = str(error)
        assert len(message) < 300
        assert message.isprintable()


def test_a_purchase_cannot_be_changed() -> None:
    purchase = decode_purchase(orjson.dumps(PURCHASE))
    with pytest.raises(ValueError, match="frozen"):
        setattr(purchase, "amount", 1)  # noqa: B010  # the type checker refuses the plain form
