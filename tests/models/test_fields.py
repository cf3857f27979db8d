"""Times against `datetime`, addresses against `ipaddress`."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.purchase import InvalidPurchase, decode_purchase
from tests.models.records import PURCHASE, with_field

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day inside of the accepted years, so that no offset leads out of them.
FIRST, LAST = datetime(2000, 1, 2), datetime(2099, 12, 30)  # noqa: DTZ001  # each draw has a zone of its own
MOMENTS = st.datetimes(FIRST, LAST, timezones=OFFSETS)

SAME_TIME = [
    "2026-03-01T12:00:00Z",
    "2026-03-01t12:00:00z",
    "2026-03-01 12:00:00Z",
    "2026-03-01T12:00:00+00:00",
    "2026-03-01T12:00:00-00:00",
    "2026-03-01T20:00:00+08:00",
    "2026-03-01T12:00:00.0Z",
    "2026-03-01T12:00:00.000999999Z",
]
NO_TIMES = [
    "2026-03-01",
    "2026-03-01T12:00Z",
    "2026-03-01T12:00:00",
    "2026-03-01T12:00:00+0800",
    "2026-03-01T12:00:00.Z",
    "2026-03-01T12:00:00.1234567890Z",
    "2026-02-29T12:00:00Z",
    "2026-03-01T24:00:00Z",
    "2026-03-01T12:00:60Z",
    "2026-03-01T12:00:00+24:00",
    "0000-03-01T12:00:00Z",
    "\uff12\uff10\uff12\uff16-03-01T12:00:00Z",
    " 2026-03-01T12:00:00Z",
    "2026-03-01T12:00:00Z\n",
    "1772366400000",
    "",
]
CANONICAL = [
    ("203.0.113.7", "203.0.113.7"),
    ("2001:DB8::1", "2001:db8::1"),
    ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("::ffff:203.0.113.7", "203.0.113.7"),
    ("::FFFF:CB00:7107", "203.0.113.7"),
    ("::", "::"),
]
NO_ADDRESSES = [
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4\n",
    " 1.2.3.4",
    "1.2.3.4/32",
    "fe80::1%eth0",
]


def event_time(value: object) -> int:
    return decode_purchase(with_field(PURCHASE, "event_time", value)).event_time


def ip(value: str) -> str | None:
    return decode_purchase(with_field(PURCHASE, "ip", value)).ip


@pytest.mark.parametrize("text", SAME_TIME)
def test_one_moment_is_one_number_however_it_is_written(text: str) -> None:
    assert event_time(text) == 1_772_366_400_000


@pytest.mark.parametrize("text", NO_TIMES)
def test_text_that_is_no_rfc_3339_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidPurchase, match=r"^purchase: event_time: "):
        event_time(text)


@given(MOMENTS)
def test_rfc_3339_text_means_what_datetime_means(moment: datetime) -> None:
    expected = (moment - EPOCH) // timedelta(milliseconds=1)
    assert event_time(moment.isoformat()) == expected


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_epoch_milliseconds_stay_as_they_are(at_ms: int) -> None:
    assert event_time(at_ms) == at_ms


@pytest.mark.parametrize(("written", "canonical"), CANONICAL)
def test_one_address_has_one_text(written: str, canonical: str) -> None:
    assert ip(written) == canonical


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_text_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidPurchase, match=r"^purchase: ip: "):
        ip(text)


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_stays_as_it_is(address: ipaddress.IPv4Address) -> None:
    assert ip(str(address)) == str(address)
    assert ip(f"::ffff:{address}") == str(address)


@given(st.ip_addresses(v=6))
def test_every_ipv6_text_comes_to_its_canonical_form(address: ipaddress.IPv6Address) -> None:
    canonical = str(address.ipv4_mapped or address)
    assert ip(address.exploded) == canonical
    assert ip(address.exploded.upper()) == canonical
    assert ip(canonical) == canonical


@given(st.text(alphabet="0123456789.:af", max_size=20))
def test_what_is_accepted_is_what_ipaddress_accepts(text: str) -> None:
    try:
        expected = ipaddress.ip_address(text)
    except ValueError:
        with pytest.raises(InvalidPurchase):
            ip(text)
    else:
        assert ip(text) == str(getattr(expected, "ipv4_mapped", None) or expected)
