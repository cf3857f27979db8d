"""Columns from recorded values, against `decode_purchase` row by row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.purchase import InvalidPurchase, Purchase, decode_purchase
from rules.columns.table import TEXT_FIELDS
from rules.fold import Record
from rules.intake import MAX_RECORD_BYTES
from streams.recording.segment import SegmentBuffer, decode_segment
from streams.timeline import plain_json
from streams.timeline.batch import Batch
from streams.timeline.decode import Refused, decode_batch, earliest_ms
from streams.timeline.plain_purchases import plain_batches
from tests.models.records import PURCHASE

NOW_MS: int = PURCHASE["event_time"]
AHEAD_MS = 300_000
FULL: dict[str, Any] = {
    **PURCHASE,
    "card_id": "c-1",
    "device_id": "d-1",
    "ip": "203.0.113.7",
    "country": "CN",
    "channel": "web",
}

ODD_VALUES = [
    *(
        b"null",
        b"true",
        b"0",
        b"-1",
        b"-0",
        b"1",
        b"01",
        b"+1",
        b"5.0",
        b"1e3",
        b"1E0",
        b"1e999",
        b"NaN",
        b"Infinity",
    ),
    *(
        b"1000000000000000",
        b"1000000000000001",
        b"9223372036854775808",
        b"9" * 400,
        b"0x10",
        b"1_000",
        b"[]",
        b"{}",
    ),
    *(
        b'""',
        b'" "',
        b'"a b"',
        b'"a{b"',
        b'"a}b"',
        b'"a\\u0041"',
        b'"\\ud800"',
        b'"\\u0085"',
        b'"a\x7f"',
        b'"a\x01"',
        b'"a\nb"',
    ),
    *(b'"\xc3\xa9"', b'"\xff"', b'"\xf0\x9f\x98\x80"', b'"x,y"', b"'a'", b'"a', b"nul", b""),
    *(b'"%s"' % (b"x" * 128), b'"%s"' % (b"x" * 129), b'"1772431200000"', b"1772431200", b"1772431200000000"),
    *(b'"2026-03-01T12:00:00Z"', b'"2026-03-01T12:00:00.5+08:00"', b'"2026-03-01"', b"946684800000"),
    *(b"4102444800000", b"4102444800001", b"946684799999", b"%d" % NOW_MS, b"%d" % (NOW_MS + AHEAD_MS + 1)),
    *(
        b'"2001:DB8::1"',
        b'"::ffff:203.0.113.7"',
        b'"01.2.3.4"',
        b'"1.2.3"',
        b'"256.1.1.1"',
        b'"0.0.0.0"',
        b'"1.2.3.4 "',
    ),
    *(
        b'"CNY"',
        b'"JPY"',
        b'"cny"',
        b'"XYZ"',
        b'"541"',
        b'"54111"',
        b'"5411"',
        b'"54a1"',
        b'"CN"',
        b'"cn"',
        b'"CHN"',
    ),
    *(b'{"lat":1,"lon":2}', b'{"lat":1.5}', b'{"count":3}', b'{"count":3,"interval_days":7}', b'{"a":1,"b":"x"}'),
    *(b'{"a":1.0}', b'{"a":null}', b"[1]", b'{"a":{}}'),
]
NAMES = [
    *(name.encode() for name in (*FULL, "location", "instalments", "attributes", "colour", "", "Amount")),
    *(b"amoun\\u0074", b"event_time ", b"\xff"),
]
GAPS = st.sampled_from([b"", b"", b"", b" ", b"\t", b"\n", b"\r\n", b"/**/", b"\x00", b"\xc2\xa0"])


@st.composite
def values(draw: st.DrawFn) -> bytes:
    """A purchase as JSON, whole or with a few things done to it."""
    fields = {name: orjson.dumps(FULL[name]) for name in FULL if name in PURCHASE or draw(st.booleans())}
    for name in draw(st.lists(st.sampled_from(sorted(FULL)), max_size=1)):
        fields.pop(name, None)
    pairs = [(name.encode(), value) for name, value in fields.items()]
    for name, value in draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(ODD_VALUES)), max_size=2)):
        named = [place for place, pair in enumerate(pairs) if pair[0] == name]
        if named and draw(st.booleans()):
            pairs[named[0]] = name, value
        else:
            pairs.insert(draw(st.integers(0, len(pairs))), (name, value))
    gap = draw(GAPS)
    text = b"{%s}" % (b"," + gap).join(b'"%s":%s%s' % (name, gap, value) for name, value in pairs)
    return draw(
        st.sampled_from(
            [
                *[text] * 6,
                *(text + text, text + b" ", b" " + text, text + b"\n", text[:-1], text[1:], text + b"}", text + b"x"),
                *(b"[" + text + b"]", b"\xef\xbb\xbf" + text, text.replace(b":", b" : "), text.replace(b",", b",,", 1)),
                *(text[:-1] + b",}", text.replace(b'"', b"'"), text[:-1] + b"}" * 2, text + b"\n" + text, b"", b"{}"),
                json.dumps(FULL, indent=1).encode(),
            ]
        )
    )


def segment(raws: Sequence[bytes | None]) -> pa.Table:
    buffer = SegmentBuffer("purchases", 3, 7, 7)
    for number, raw in enumerate(raws):
        buffer.append(Record(7 + number, NOW_MS, None, raw, (), 3))
    entry, content = buffer.encode()
    return decode_segment(pa.py_buffer(content), entry, "segment", dense=True)


def expected(raws: Sequence[bytes | None]) -> tuple[dict[int, Purchase], Refused]:
    """By offset what a purchase is, and how many are none."""
    purchases: dict[int, Purchase] = {}
    refused = Refused()
    for offset, raw in enumerate(raws, start=7):
        if len(raw or b"") > MAX_RECORD_BYTES:
            refused.oversized += 1
            continue
        try:
            purchase = decode_purchase(raw or b"")
        except InvalidPurchase:
            refused.malformed += 1
            continue
        if purchase.event_time > NOW_MS + AHEAD_MS:
            refused.future += 1
        else:
            purchases[offset] = purchase
    return purchases, refused


def assert_same(batch: Batch, raws: Sequence[bytes | None], purchases: dict[int, Purchase]) -> None:
    assert batch.offset.tolist() == sorted(purchases)
    assert set(batch.partition.tolist()) <= {3}
    attributes = batch.all_attributes()
    for row, offset in enumerate(batch.offset.tolist()):
        purchase = purchases[offset]
        assert batch.event_time_ms[row] == purchase.event_time
        assert batch.amount_minor[row] == purchase.amount
        assert batch.instalments[row] == (purchase.instalments.count if purchase.instalments else 0)
        assert attributes[row] == purchase.attributes
        assert batch.values[row].as_py() == raws[offset - 7]
        nested = purchase.location is not None or purchase.instalments is not None or purchase.attributes
        assert bool(batch.nested[row]) == bool(nested)
        for field in TEXT_FIELDS:
            column = batch.texts[field]
            code = int(column.codes[row])
            assert (column.words[code].as_py() if code >= 0 else None) == getattr(purchase, field), field
    for column in batch.texts.values():
        assert len(set(column.words.to_pylist())) == len(column.words)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that plain rows beside odd ones are read as columns in a test, too."""
    monkeypatch.setattr(plain_json, "_ROWS_LEFT_OVER", 1)


@settings(max_examples=600, deadline=None)
@given(st.lists(values() | st.none(), min_size=1, max_size=12))
@example([orjson.dumps(FULL), b'{"amount":1,"amount":2}', b'{"a":"x}', b'{y"}', orjson.dumps(FULL)])
def test_columns_hold_what_row_by_row_decoding_gives(raws: list[bytes | None]) -> None:
    purchases, wanted = expected(raws)
    refused = Refused()
    batch = decode_batch(segment(raws), AHEAD_MS, refused)
    assert refused == wanted
    assert_same(batch, raws, purchases)


def test_each_odd_value_in_each_field_is_read_as_row_by_row() -> None:
    base = {name.encode(): orjson.dumps(value) for name, value in FULL.items()}
    raws: list[bytes | None] = [
        b"{%s}" % b",".join(b'"%s":%s' % pair for pair in {**base, name: value}.items())
        for name in NAMES
        for value in ODD_VALUES
    ]
    purchases, wanted = expected(raws)
    refused = Refused()
    batch = decode_batch(segment(raws), AHEAD_MS, refused)
    assert refused == wanted
    assert_same(batch, raws, purchases)


@settings(max_examples=300, deadline=None)
@given(st.lists(values() | st.none(), min_size=1, max_size=12))
def test_no_purchase_is_before_the_earliest_moment_of_its_segment(raws: list[bytes | None]) -> None:
    earliest = earliest_ms(segment(raws))
    purchases, _ = expected(raws)
    if purchases:
        assert earliest is not None
        assert earliest <= min(purchase.event_time for purchase in purchases.values())


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_an_odd_value_alone_is_read_right_or_left_over(value: bytes) -> None:
    assert_read_right_or_left_over(orjson.dumps(FULL).replace(b'"d-1"', value))


@given(values())
def test_a_value_alone_is_read_right_or_left_over(raw: bytes) -> None:
    assert_read_right_or_left_over(raw)


def assert_read_right_or_left_over(raw: bytes) -> None:
    batches, left = plain_batches(pa.array([raw], pa.large_binary()), np.array([0]), 3, np.array([7]))
    assert len(batches) + len(left) == 1
    if batches:
        assert_same(batches[0], [raw], {7: decode_purchase(raw)})


def test_plain_purchases_are_read_as_columns() -> None:
    nulls = {**PURCHASE, "device_id": None, "location": None, "instalments": None}
    raws = [orjson.dumps(PURCHASE), orjson.dumps(FULL), orjson.dumps(nulls), json.dumps(FULL).encode()]
    batches, left = plain_batches(pa.array(raws, pa.large_binary()), np.arange(4), 3, np.arange(7, 11))
    assert left == []
    assert_same(Batch.concat(batches), raws, expected(raws)[0])


def test_an_odd_purchase_leaves_the_plain_ones_around_it_to_be_read_as_columns() -> None:
    raws = [orjson.dumps(PURCHASE)] * 5 + [b'{"amount":"1"}'] + [orjson.dumps(PURCHASE)] * 3
    batches, left = plain_batches(pa.array(raws, pa.large_binary()), np.arange(9), 3, np.arange(7, 16))
    assert left == [5]
    assert sum(map(len, batches)) == 8


def test_what_is_too_large_is_counted_and_not_read() -> None:
    large = orjson.dumps(PURCHASE) + b" " * MAX_RECORD_BYTES
    refused = Refused()
    batch = decode_batch(segment([large, orjson.dumps(PURCHASE)]), AHEAD_MS, refused)
    assert (refused, batch.offset.tolist()) == (Refused(oversized=1), [8])


@settings(deadline=None)
@given(st.lists(values(), min_size=2, max_size=6))
def test_bodies_have_one_hash_if_and_only_if_they_are_one_purchase(raws: list[bytes]) -> None:
    purchases, _ = expected(raws)
    batch = decode_batch(segment(raws), AHEAD_MS, Refused())
    hashes = dict(zip(batch.offset.tolist(), batch.body_hashes().tolist(), strict=True))
    for one, first in purchases.items():
        for other, second in purchases.items():
            same = orjson.dumps(body(first)) == orjson.dumps(body(second))
            assert (hashes[one] == hashes[other]) == same


def body(purchase: Purchase) -> dict[str, Any]:
    dumped = purchase.model_dump(exclude={"transaction_id"})
    return {**dumped, "attributes": sorted(dumped["attributes"].items())}
