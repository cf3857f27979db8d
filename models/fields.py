"""Field types that the records on Kafka share, checked where a record comes in."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from models.money import CURRENCIES
from models.problem import OneOf, Wanted

MAX_ID_CHARS: Final = 128
# 2000-01-01 and 2100-01-01, UTC: seconds or microseconds sent as milliseconds fall outside.
MIN_EVENT_TIME_MS: Final = 946_684_800_000
MAX_EVENT_TIME_MS: Final = 4_102_444_800_000
# 10^15 minor units: sums over any window stay far inside 64 bits.
MAX_AMOUNT_MINOR: Final = 10**15
MAX_ATTRIBUTES: Final = 32

# Regular expressions, for one character of an identifier and for an IPv4 address as RFC 5952 has it.
IDENTIFIER_CHARS: Final = r"[!-~\u00a1-\uffff]"
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9][0-9]?|0)"
CANONICAL_IPV4: Final = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_CANONICAL_IPV4: Final = re.compile(CANONICAL_IPV4)
_RFC3339 = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[Tt ](?P<time>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?"
    r"(?P<offset>[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def _canonical_ip(value: object) -> object:
    """One text for one address, so that it is one entity however it was written.

    IPv6 in the form of RFC 5952; an IPv4-mapped address becomes the IPv4 address. An address with a zone
    (`fe80::1%eth0`) means something on one machine only, so it is none here.
    """
    if not isinstance(value, str) or _CANONICAL_IPV4.fullmatch(value):
        return value
    address = ipaddress.ip_address(value)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.scope_id is not None:
        raise ValueError("an address with a zone")
    return str(address.ipv4_mapped or address)


def _epoch_ms(value: object) -> object:
    """RFC 3339 text to epoch milliseconds, fractions of one cut; anything else passes."""
    if not isinstance(value, str):
        return value
    parts = _RFC3339.fullmatch(value)
    if parts is None:
        raise ValueError("not RFC 3339")
    moment = datetime.fromisoformat(f"{parts['date']}T{parts['time']}{parts['offset'].upper()}")
    milliseconds = (parts["fraction"] or "")[:3].ljust(3, "0")
    return int(moment.timestamp()) * 1000 + int(milliseconds)


Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_ID_CHARS, pattern=f"^{IDENTIFIER_CHARS}+$"),
    Wanted(f"text of 1 to {MAX_ID_CHARS} characters without spaces, control characters or emoji"),
]
AmountMinor = Annotated[
    int,
    Field(ge=1, le=MAX_AMOUNT_MINOR),
    Wanted("a whole number of minor units from 1 to 10^15, e.g. 1999 for 19.99 CNY"),
]
Currency = Annotated[str, OneOf(CURRENCIES), Wanted("an ISO 4217 code, e.g. CNY")]
MerchantCategory = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}$"),
    Wanted('a merchant category of ISO 18245: four digits as text, e.g. "5411"'),
]
Country = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{2}$"),
    Wanted("a country code of ISO 3166-1: two capital letters, e.g. CN"),
]
EventTimeMs = Annotated[
    int,
    BeforeValidator(_epoch_ms),
    Field(ge=MIN_EVENT_TIME_MS, le=MAX_EVENT_TIME_MS),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": MIN_EVENT_TIME_MS, "maximum": MAX_EVENT_TIME_MS},
                {"type": "string", "format": "date-time"},
            ],
            "description": "Epoch milliseconds, UTC, or RFC 3339 text with an offset.",
        }
    ),
    Wanted(
        "a time from 2000 to 2099 in epoch milliseconds (not seconds) or RFC 3339 with an offset,"
        " e.g. 2026-03-01T12:00:00Z"
    ),
]
IpAddress = Annotated[
    str,
    BeforeValidator(_canonical_ip),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}),
    Wanted("an IPv4 or IPv6 address, e.g. 203.0.113.7"),
]
