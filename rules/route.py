"""What rides beside a record on its way: where it came from, which ruleset decides, where it goes, its stamps.

It is one header, the last of the record's; the headers before it are the sender's own and travel unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, MsgspecError
from msgspec.json import Decoder, Encoder

from rules.clearing import Clears
from rules.fold import Headers, SourceRecord

ROUTE_HEADER: Final = "stopbank-route"
PURCHASE: Final = "purchase"
# Purchases that need no station, many in one record: see rules/bundle.py.
BUNDLE: Final = "bundle"
CREDIT_LIMIT: Final = "credit-limit"
REPAYMENT: Final = "repayment"
# A verdict of fraud that carries its purchase, on its way past the entities that fraud is counted for.
LABEL: Final = "label"
SETTLEMENT: Final = "settlement"
# An answer that a gateway gave without the full decision.
DEGRADED: Final = "degraded"
# A question which decision a transaction was given.
INQUIRY: Final = "inquiry"


class InvalidRouteError(ValueError):
    """A record on an internal topic that Stopbank did not send there."""


# A whole number that state records and headers have room for.
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Origin(NamedTuple):
    """Where a record came in, and the broker's timestamp there."""

    topic: str
    partition: _Int64
    offset: _Int64
    timestamp_ms: _Int64


# An entity's fields, comma-separated, and what its station measured: (value, clears) for each feature.
Stamp = tuple[str, Sequence[tuple[_Int64 | None, Sequence[_Int64 | None]]]]


def stamp_of(entity: str, values: Sequence[int | None], clears: Sequence[Clears]) -> Stamp:
    """What a station measured, as it rides in the route, under the entity's name."""
    return entity, list(zip(values, clears, strict=True))


class Route(NamedTuple):
    """The way of a record.

    `key` is the record's own where that is not the account's id. `stops` holds the entity keys still to
    visit, `stamps` the values that the stations measured, by entity, in the plan's order. `late` says that at a
    station the purchase was later than the allowed lateness: what is older may be forgotten there.
    """

    kind: str
    ruleset: str
    origin: Origin
    key: bytes | None
    has_account_key: bool
    stops: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    late: bool = False


_encode: Final = Encoder().encode
_decode: Final = Decoder(Route).decode


def with_route(headers: Headers, route: Route) -> Headers:
    """The sender's headers and, behind them, the route: JSON, a named tuple as an array, a key in base64."""
    return (*headers, (ROUTE_HEADER, _encode(route)))


def read_route(record: SourceRecord) -> tuple[Route, Headers]:
    """The route of a record and the sender's headers. Raises InvalidRouteError."""
    *sender_headers, (name, text) = record.headers or [("", b"")]
    if name != ROUTE_HEADER:
        raise InvalidRouteError(f"the last header is not {ROUTE_HEADER}")
    try:
        return _decode(text), tuple(sender_headers)
    # Kafka knows headers without a value: a TypeError.
    except (MsgspecError, ValueError, TypeError) as error:
        raise InvalidRouteError(f"{ROUTE_HEADER} can't be read: {error}") from None
