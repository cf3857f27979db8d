"""What rides beside a record on its way: where it came from, which ruleset decides, where it goes, its stamps.

It is one header, the last of the record's; the headers before it are the sender's own and travel unchanged.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from rules.fold import Headers, SourceRecord
from rules.velocity import Clears

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


_ORIGIN_TYPES: Final = [str, int, int, int]
_TEXTS: Final = frozenset({str})
_NUMBERS: Final = frozenset({int, type(None)})


class InvalidRouteError(ValueError):
    """A record on an internal topic that Stopbank did not send there."""


class Origin(NamedTuple):
    """Where a record came in, and the broker's timestamp there."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


# An entity's fields, comma-separated, and what its station measured: (value, clears) for each feature.
Stamp = tuple[str, Sequence[tuple[int | None, Clears]]]


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


def with_route(headers: Headers, route: Route) -> Headers:
    """The sender's headers and, behind them, the route."""
    key = b64encode(route.key).decode() if route.key is not None else None
    text = orjson.dumps(
        [
            route.kind,
            route.ruleset,
            tuple(route.origin),
            key,
            route.has_account_key,
            route.stops,
            route.stamps,
            route.late,
        ]
    )
    return (*headers, (ROUTE_HEADER, text))


def read_route(record: SourceRecord) -> tuple[Route, Headers]:
    """The route of a record and the sender's headers. Raises InvalidRouteError."""
    if not record.headers or record.headers[-1][0] != ROUTE_HEADER:
        raise InvalidRouteError(f"the last header is not {ROUTE_HEADER}")
    try:
        kind, ruleset, origin, key, has_account_key, stops, stamps, late = orjson.loads(record.headers[-1][1])
        if not (_is_header(kind, ruleset, origin) and _is_way(stops, stamps)):
            raise InvalidRouteError(f"{ROUTE_HEADER} holds something else than a route")
        route = Route(
            kind,
            ruleset,
            Origin(*origin),
            b64decode(key, validate=True) if key is not None else None,
            has_account_key,
            tuple(stops),
            tuple(stamps),
            late is True,
        )
    except (ValueError, TypeError) as error:
        raise InvalidRouteError(f"{ROUTE_HEADER} can't be read: {error}") from None
    return route, tuple(record.headers[:-1])


def _is_header(kind: Any, ruleset: Any, origin: Any) -> bool:
    return type(kind) is str and type(ruleset) is str and [type(part) for part in origin] == _ORIGIN_TYPES


def _is_way(stops: Any, stamps: Any) -> bool:
    """Whether these are texts, and measured values by text. Raises TypeError or ValueError for other shapes."""
    if not _TEXTS.issuperset(map(type, stops)):
        return False
    for entity, values in stamps:
        if type(entity) is not str:
            return False
        for value, clears in values:
            if type(value) not in _NUMBERS or not _NUMBERS.issuperset(map(type, clears)):
                return False
    return True
