"""What the fast reader takes for a purchase, the model takes for the same one; the rest it leaves to the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from models.plain_purchase import PlainInstalments, PlainLocation, PlainPurchase, plain_purchase
from models.purchase import Instalments, InvalidPurchase, Location, Purchase, decode_purchase, read_purchase_fields
from tests.models.records import PURCHASE, WHOLE, with_field
from tests.models.test_purchase import BAD, GOOD, NOT_A_RECORD

model: TypeAdapter[Purchase] = TypeAdapter(Purchase)

# Values as JSON text, most of them near a border of what a field takes.
NUMBERS = (
    "0 1 -1 -0 -0.0 0.0 1.0 1e3 1E3 1.5 1e-400 1e400 5e-324 90 90.1 -90 180 -180 180.0 60 61 366 367 01 1. .5 +1 0x1 - "
    "1000000000000000 1000000000000001 946684800000 946684799999 4102444800000 4102444800001 1772431200000.0 "
    f"1.7724312e12 18446744073709551616 {'9' * 60} {'9' * 4301} NaN Infinity -Infinity"
).split()
WORDS = (
    '""|"a"|"a b"|"a\\u0020b"|"\\u0061"|"a\\n"|"a\nb"|"a\\u0000"|"a\x01"|"a\x7f"|"\u00a0"|"\u00a1"|"\ud7ff"|"\uffff"|'
    '"\U00010000"|"\\ud83d\\ude00"|"\\ud800"|"\\udc00"|"\\/"|"\\x"|"商户-7"|"None"|"null"|"1999"|"CN"|"cn"|"Cn"|"C1"|'
    '"CHN"|"CNY"|"cny"|"JPY"|"XYZ"|"5411"|"541"|"54111"|"541a"|"٥٤١١"|"203.0.113.7"|"203.0.113.07"|"203.0.113.256"|'
    '"0.0.0.0"|"255.255.255.255"|"1.2.3"|"1.2.3.4.5"|"1.2.3.4\\n"|"٢.0.0.0"|"::1"|"::ffff:1.2.3.4"|"fe80::1%eth0"|'
    '"2026-03-01T12:00:00Z"|"2026-03-01 12:00"|"a\\n1.2.3.4"|"web\\n203.0.113.7"'
).split("|")
LONG = [f'"{character * size}"' for character in "a商" for size in (128, 129)]
OTHERS = (
    "null true false [] {} [1] ["
    ' {"lat":1,"lon":2} {"lat":1.5,"lon":-0.0} {"lat":91,"lon":0} {"lat":1} {"lat":1,"lon":2,"lat":3}'
    ' {"lat":1,"lon":2,"alt":3} {"lat":null,"lon":2} {"lat":"1","lon":2} {"lat":true,"lon":2}'
    ' {"count":3} {"count":3,"interval_days":7} {"count":1.0} {"count":true} {"count":3,"interval_days":null}'
    ' {"a":1,"a":2} {"":1} {"a":null} {"a":[1]} {"a":{}} {"\\u0061":1.0} {"\\u0020":1} {"a":NaN}'
).split(" ")
ENTRIES = st.sampled_from([*NUMBERS, *WORDS, *LONG, "true", "false"])
ATTRIBUTES = st.lists(st.tuples(st.sampled_from([*WORDS, *LONG]), ENTRIES), max_size=3).map(
    lambda entries: "{" + ",".join(f"{key}:{value}" for key, value in entries) + "}"
)
MANY = st.integers(31, 34).map(lambda size: "{" + ",".join(f'"{number}":{number}' for number in range(size)) + "}")
VALUES = st.one_of(ENTRIES, st.sampled_from([*OTHERS, '{"a":1,"a":2}']), ATTRIBUTES, MANY)
STRANGE_PAIRS = [('"colour"', '"red"'), ('""', "1"), ('"\\u006dcc"', '"5999"'), ("mcc", "1")]
SPACES = st.sampled_from(["", "", "", " ", "\t\r\n", "\x0b", "\u00a0"])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """The JSON of a purchase, with a few things other than they were."""
    pairs = [(orjson.dumps(name).decode(), orjson.dumps(value).decode()) for name, value in WHOLE.items()]
    pairs = [pair for pair in pairs if pair[0].strip('"') in PURCHASE or draw(st.booleans())]
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(sorted(WHOLE)))
        pairs = [(key, value) for key, value in pairs if key != f'"{name}"' or draw(st.integers(0, 9)) == 0]
        pairs.append((f'"{name}"', draw(VALUES)))
    if draw(st.integers(0, 9)) == 0:
        pairs.append(
            draw(st.sampled_from([('"colour"', '"red"'), ('""', "1"), ('"\\u006dcc"', '"5999"'), ("mcc", "1")]))
        )
    if draw(st.booleans()):
        pairs = draw(st.permutations(pairs))
    space = draw(SPACES)
    text = space + "{" + space + f",{space}".join(f"{key}{space}:{space}{value}" for key, value in pairs) + "}" + space
    return text.encode("utf-8", "surrogatepass")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The same with a byte more, less or another."""
    raw = draw(texts())
    at, until = draw(st.integers(0, len(raw))), draw(st.integers(0, 1))
    return raw[:at] + draw(st.binary(max_size=1)) + raw[at + until :]


def fields_of(purchase: Purchase) -> str:
    """All fields with their types, told apart where they compare equal: 1, 1.0 and true, 0.0 and -0.0."""
    assert {type(purchase), type(purchase.location)} <= {Purchase, Location, type(None)}
    return repr(vars(purchase))


def as_model(value: object) -> object:
    """A place or instalments, as the model holds them."""
    if isinstance(value, PlainLocation):
        return Location(lat=value.lat, lon=value.lon)
    if isinstance(value, PlainInstalments):
        return Instalments(count=value.count, interval_days=value.interval_days)
    return value


def hold(raw: bytes) -> None:
    try:
        expected = model.validate_json(raw)
    except ValidationError:
        assert plain_purchase(raw) is None
        return
    read = decode_purchase(raw)
    assert read == expected
    assert fields_of(read) == fields_of(expected)
    fields = read_purchase_fields(raw)
    assert repr({name: as_model(getattr(fields, name)) for name in vars(expected)}) == fields_of(expected)


@given(st.one_of(texts(), damaged()))
@example(orjson.dumps(WHOLE) + b"\x00")
@example(b"\xef\xbb\xbf" + orjson.dumps(WHOLE))
@example(orjson.dumps(WHOLE).replace(b"web", b"w\xffb"))
@example(orjson.dumps(WHOLE).replace(b"web", b"w\xed\xa0\x80b"))
def test_what_is_read_fast_is_what_the_model_reads(raw: bytes) -> None:
    hold(raw)


@pytest.mark.parametrize("field", sorted(WHOLE))
def test_near_every_border_the_model_reads_the_same(field: str) -> None:
    others = {name: value for name, value in WHOLE.items() if name != field}
    start = orjson.dumps(others)[:-1]
    for value in [*NUMBERS, *WORDS, *LONG, *OTHERS]:
        hold(start + f',"{field}":{value}}}'.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("fields", [dict(PURCHASE), WHOLE, {**WHOLE, "merchant_id": "商户-7", "location": None}])
def test_a_purchase_in_plain_form_is_read_fast(fields: dict[str, Any]) -> None:
    assert plain_purchase(orjson.dumps(fields)) is not None


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_every_good_value_is_read_fast(field: str, value: Any) -> None:
    assert plain_purchase(with_field(PURCHASE, field, value)) is not None


@pytest.mark.parametrize("raw", [*(with_field(PURCHASE, *bad[:2]) for bad in BAD), *(raw for raw, _ in NOT_A_RECORD)])
def test_what_is_wrong_is_left_to_the_model(raw: bytes) -> None:
    assert plain_purchase(raw) is None
    with pytest.raises(InvalidPurchase):
        decode_purchase(raw)


def test_the_fields_are_those_of_the_model_in_its_order() -> None:
    assert PlainPurchase.__struct_fields__ == tuple(Purchase.model_fields)


USES: list[Callable[[BaseModel], object]] = [
    repr,
    BaseModel.model_dump,
    BaseModel.model_dump_json,
    lambda made: made.model_dump_json(exclude_none=True),
    lambda made: made.model_copy(update={"channel": "app"}).model_dump(),
    lambda made: vars(made.model_copy(deep=True)),
    lambda made: list(vars(made)),
    lambda made: made.model_extra,
]


@pytest.mark.parametrize("use", USES)
def test_a_purchase_that_was_read_fast_can_be_used_as_any_other(use: Callable[[BaseModel], object]) -> None:
    raw = orjson.dumps(WHOLE)
    assert use(decode_purchase(raw)) == use(model.validate_json(raw))
    with pytest.raises(ValueError, match="frozen"):
        setattr(decode_purchase(raw).location, "lat", 1)  # noqa: B010  # the type checker refuses the plain form


def test_purchases_that_were_read_fast_share_no_attributes() -> None:
    one, other = decode_purchase(orjson.dumps(PURCHASE)), decode_purchase(orjson.dumps(PURCHASE))
    assert one.attributes == other.attributes == {}
    assert one.attributes is not other.attributes
