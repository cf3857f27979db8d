"""Which texts and records hold a card number, and that what is none is not taken for one."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from itertools import accumulate
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.card_number import CardNumberPlace, find_card_number, holds_card_number
from tests.models.records import PURCHASE

VISA = "4111111111111111"
AMEX = "378282246310005"
UNIONPAY_19 = "6200000000000000000"
THIRTEEN = "4222222222222"
CARD_NUMBERS = (VISA, AMEX, UNIONPAY_19, THIRTEEN, "5555555555554444", "6011111111111117", "3530111333300000")

HOLDING = [
    *CARD_NUMBERS,
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111\t1111\t1111\t1111",
    "3782 822463 10005",
    " ".join(VISA),
    f"card{VISA}",
    f"{VISA}x",
    f"pay {VISA}, thanks",
    f"{VISA} 12/27",
    f"{VISA} 1227",
    f"{VISA} {VISA}",
    f"1-{VISA}-1",
    f"{VISA[:8]} {VISA[8:]}",
    VISA.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)}),
    VISA.translate({ord(str(digit)): 0x0660 + digit for digit in range(10)}),
    VISA.translate({ord(str(digit)): 0x1D7CE + digit for digit in range(10)}),
    VISA.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")),
    VISA.translate(str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")),
    "4111\u00a01111\u20031111\u30001111",
    "4111\u20111111\u20131111\u22121111",
    "\u200b".join(VISA),
    f"{uuid.UUID(int=7, version=4)} {VISA}",
    "4111--1111--1111--1111",
    "4111  1111  1111  1111",
    "4111- 1111 /1111_.1111",
    "4111.1111.1111.1111",
    "4111/1111/1111/1111",
    "4111_1111_1111_1111",
    "3782.822463.10005",
    "6200_0000_0000_0000_000",
    "\uff0f".join(["4111", "1111", "1111", "1111"]),
    "2026.4111.1111.1111.1111",
    "01/03/2026 4111.1111.1111.1111",
    "/".join(VISA),
    "  ".join(VISA),
    f"{VISA}.50",
]
HOLDING_NONE = [
    "",
    "t-1",
    "4111111111111112",
    VISA[:-4],
    "0" * 12,
    "0" * 20,
    f"{VISA}{VISA}",
    f"1{UNIONPAY_19}",
    "4111---1111---1111---1111",
    "4111,1111,1111,1111",
    "41111111.11111111",
    "203.0.113.7",
    "2001:db8:1111:2222:3333:4444:5555:6666",
    "2026-03-01T12:00:00.123456789+08:00",
    "00000000-0000-4000-8000-000000000000",
    "a" + "0" * 31,
    "商户-7",
]


@pytest.mark.parametrize("text", HOLDING)
def test_a_card_number_is_found(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize("text", HOLDING_NONE)
def test_what_is_no_card_number_is_left_alone(text: str) -> None:
    assert not holds_card_number(text)


def luhn_sum(digits: str) -> int:
    """The check as ISO/IEC 7812-1 words it: every second digit from the right doubled, its digits added up."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        number = int(char) * (2 if place % 2 else 1)
        total += number // 10 + number % 10
    return total


SHAPES = """
    4-4-4-1 4-4-4-2 4-4-4-3 4-4-4-4 4-4-4-4-1 4-4-4-4-2 4-4-4-4-3 4-6-5 4-6-4 4-4-5
    1-1-1-1-1-1-1-1-1-1-1-1-1 1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1
""".split()


def is_one(part: str) -> bool:
    digits = re.sub("[ ./_-]", "", part)
    if not (digits.isdecimal() and 13 <= len(digits) <= 19 and part[0].isdecimal() and part[-1].isdecimal()):
        return False
    narrow = re.search("[ ./_-]{2}|[./_]", part) is None
    lengths = [len(group) for group in re.split("[ ./_-]{1,2}", part)]
    wide = "-".join(map(str, lengths)) in SHAPES or set(lengths) == {1}
    return (narrow or wide) and luhn_sum(digits) % 10 == 0


def slowly(text: str) -> bool:
    """Tries every part that no digit stands beside."""
    whole = [0, *(at for at in range(1, len(text)) if not (text[at - 1] + text[at]).isdecimal()), len(text)]
    return any(is_one(text[start:end]) for start in whole for end in whole if start < end)


def completed(digits: str) -> str:
    """The digits with the check digit behind them."""
    return digits + str(-luhn_sum(digits + "0") % 10)


dashed = st.text(st.sampled_from("0123456789 -x"), max_size=40)
separators = st.text(st.sampled_from(" -./_"), min_size=1, max_size=2) | st.sampled_from(["   ", ".", "."])


@st.composite
def shaped(draw: st.DrawFn) -> str:
    """Digits in groups as a card shows them, and others around them."""
    lengths = [int(length) for length in draw(st.sampled_from(SHAPES)).split("-")]
    digits = completed(
        draw(st.text(st.sampled_from("0123456789"), min_size=sum(lengths) - 1, max_size=sum(lengths) - 1))
    )
    parts = [digits[end - length : end] for length, end in zip(lengths, accumulate(lengths), strict=True)]
    around = st.lists(st.text(st.sampled_from("0123456789"), min_size=1, max_size=6), max_size=2)
    parts = [*draw(around), *parts, *draw(around)]
    return "".join(part + draw(separators) for part in parts) + draw(st.sampled_from(["", "x"]))


groups = st.lists(st.text(st.sampled_from("0123456789"), min_size=1, max_size=19), max_size=6).map(" ".join)


@given(dashed | groups | shaped())
def test_it_finds_what_trying_every_part_finds(text: str) -> None:
    assert holds_card_number(text) == slowly(text)


@given(st.text(st.sampled_from("0123456789"), min_size=12, max_size=18), st.data())
def test_every_number_with_its_check_digit_is_found_wherever_it_stands(digits: str, data: st.DataObject) -> None:
    number = completed(digits)
    cuts = data.draw(st.sets(st.integers(1, len(number) - 1)))
    parted = "".join(("-" if at in cuts else "") + char for at, char in enumerate(number))
    before, after = (
        data.draw(st.sampled_from(["", "x", "card: ", "12/27 "])),
        data.draw(st.sampled_from(["", ".", "x"])),
    )
    assert holds_card_number(before + parted + after)
    assert find_card_number({"attributes": {"note": before + parted + after}}) == ("attributes.note", False)


@given(st.text(st.sampled_from("0123456789"), min_size=12, max_size=18), st.integers(1, 9), st.data())
def test_one_wrong_digit_makes_it_none(digits: str, change: int, data: st.DataObject) -> None:
    number = completed(digits)
    at = data.draw(st.integers(0, len(number) - 1))
    assert not holds_card_number(number[:at] + str((int(number[at]) + change) % 10) + number[at + 1 :])


@pytest.mark.parametrize("place", ["transaction_id", "account_id", "merchant_id", "card_id", "device_id", "channel"])
@pytest.mark.parametrize("number", CARD_NUMBERS)
def test_a_card_number_is_found_in_each_field(place: str, number: str) -> None:
    assert find_card_number({**PURCHASE, place: number}) == (place, False)


RECORDS: list[tuple[Any, CardNumberPlace | None]] = [
    (PURCHASE, None),
    ({"attributes": {VISA: 1}}, CardNumberPlace("attributes", in_name=True)),
    ({VISA: 1}, CardNumberPlace("", in_name=True)),
    ({"amount": int(VISA)}, CardNumberPlace("amount", in_name=False)),
    ({"amount": -int(VISA)}, CardNumberPlace("amount", in_name=False)),
    ({"amount": float(VISA)}, CardNumberPlace("amount", in_name=False)),
    ({"amount": int(VISA) + 1}, None),
    ({"attributes": {"a": int(VISA) + 0.5}}, CardNumberPlace("attributes.a", in_name=False)),
    ({"attributes": {"a": -(int(VISA) + 0.5)}}, CardNumberPlace("attributes.a", in_name=False)),
    ({"attributes": {"a": float("inf"), "b": float("nan"), "c": 1e18 + 0.5}}, None),
    ({"attributes": {"a": {"b": [0, {"c": VISA}]}}}, CardNumberPlace("attributes.a.b.1.c", in_name=False)),
    ({"attributes": {"a": 0.4111111111111111, "b": 1e300, "c": 4.1111111, "d": True, "e": None}}, None),
    ({"event_time": int(THIRTEEN)}, CardNumberPlace("event_time", in_name=False)),
    ({"event_time": int(completed("177243120000"))}, None),
    ({"event_time": completed("177243120000")}, CardNumberPlace("event_time", in_name=False)),
    ({"event_time": float(completed("177243120000"))}, CardNumberPlace("event_time", in_name=False)),
    ({"attributes": {"event_time": int(completed("177243120000"))}}, CardNumberPlace("attributes.event_time", False)),
    ({"location": {"lat": 31.230416123456789, "lon": -121.47370212345678}}, None),
    ([VISA], CardNumberPlace("0", in_name=False)),
    (VISA, CardNumberPlace("", in_name=False)),
    ({"x" * 99: VISA}, CardNumberPlace("x" * 40 + "…", in_name=False)),
    ({"a\nb": VISA}, CardNumberPlace("a\\nb", in_name=False)),
]


@pytest.mark.parametrize(("record", "place"), RECORDS)
def test_a_record_is_searched_in_depth(record: Any, place: CardNumberPlace | None) -> None:
    assert find_card_number(record) == place


def test_more_numbers_than_anyone_sends_by_chance_count_as_card_numbers() -> None:
    # No part of it passes the check, whatever its length.
    assert not holds_card_number("1 " * 100)
    assert holds_card_number("1 " * 1_000)
    assert find_card_number(["1 " * 100] * 2) is None
    assert find_card_number(["1 " * 100] * 100) is not None


def test_a_deep_record_is_searched_to_its_ground() -> None:
    record = orjson.loads("[" * 900 + f'"{VISA}"' + "]" * 900)
    assert find_card_number(record) == (".".join(["0"] * 900), False)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.floats() | st.text() | st.none()))
def test_the_place_never_tells_the_number(attributes: dict[str, Any]) -> None:
    place = find_card_number({"attributes": {**attributes, VISA: VISA}})
    assert place is not None
    assert VISA not in str(place)


def uuid7(draw: random.Random) -> uuid.UUID:
    at_ms = draw.randrange(1_700_000_000_000, 1_900_000_000_000)
    return uuid.UUID(int=at_ms << 80 | 7 << 76 | draw.getrandbits(12) << 64 | 2 << 62 | draw.getrandbits(62))


def ulid(draw: random.Random) -> str:
    number = draw.randrange(1_700_000_000_000, 1_900_000_000_000) << 80 | draw.getrandbits(80)
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * place & 31] for place in reversed(range(26)))


def ipv4(draw: random.Random) -> IPv4Address:
    return IPv4Address(draw.getrandbits(32))


def moment(draw: random.Random) -> datetime:
    return datetime.fromtimestamp(draw.uniform(1e9, 4e9), UTC)


IDS: dict[str, Callable[[random.Random], str]] = {
    "uuid4": lambda draw: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    "uuid7": lambda draw: str(uuid7(draw)),
    "uuid4-urn": lambda draw: uuid.UUID(int=draw.getrandbits(128), version=4).urn.upper(),
    "uuid4-hex": lambda draw: "f" + uuid.UUID(int=draw.getrandbits(128), version=4).hex[1:],
    "ulid": ulid,
    "sha256": lambda draw: sha256(draw.randbytes(8)).hexdigest(),
    "ipv4": lambda draw: f"{ipv4(draw)}/24 {ipv4(draw)}-{ipv4(draw)}",
    "ipv6": lambda draw: str(IPv6Address(draw.getrandbits(128))),
    "version": lambda draw: f"Chrome/{draw.randrange(200)}.0.{draw.randrange(9999)}.{draw.randrange(999)} 10.0.19045",
    "blank-coordinates": lambda draw: f"{draw.uniform(-90, 90):.6f} {draw.uniform(-180, 180):.6f}",
    "blank-time": lambda draw: moment(draw).isoformat(" "),
    "dotted-time": lambda draw: f"{moment(draw):%d.%m.%Y %H.%M.%S.%f}",
    "named-time": lambda draw: f"{moment(draw):%Y%m%d_%H%M%S}",
    "negative-offset": lambda draw: f"{moment(draw):%Y-%m-%dT%H:%M:%S.%f}{draw.randrange(999):03}-08:00",
    "rfc3339": lambda draw: moment(draw).isoformat(),
}


@pytest.mark.parametrize("kind", IDS)
def test_common_ids_and_texts_are_never_taken_for_card_numbers(kind: str) -> None:
    draw = random.Random(7)
    wrong = [text for text in (IDS[kind](draw) for _ in range(20_000)) if holds_card_number(text)]
    assert not wrong


def test_no_time_in_milliseconds_and_no_coordinate_is_taken_for_a_card_number() -> None:
    draw = random.Random(7)
    for _ in range(20_000):
        location = {"lat": draw.uniform(-90, 90), "lon": draw.uniform(-180, 180)}
        record = {"event_time": draw.randrange(946_684_800_000, 4_102_444_800_000), "location": location}
        assert find_card_number(record) is None


def test_ids_of_digits_alone_are_refused_for_one_in_ten() -> None:
    draw = random.Random(7)
    refused = sum(holds_card_number(str(draw.randrange(10**15, 10**16))) for _ in range(20_000))
    assert 0.08 < refused / 20_000 < 0.12
