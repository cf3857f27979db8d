"""Dead letters: records that can't be used, kept byte for byte, with the reason in headers."""

from __future__ import annotations

from typing import Final

from rules.fold import Headers, Output, Record
from rules.route import Route

DEAD_LETTERS: Final = "purchases.dlq"
REASON_HEADER: Final = "dlq-reason"
DETAIL_HEADER: Final = "dlq-detail"
SOURCE_HEADER: Final = "dlq-source"

# Reasons, for the header and the metric.
MALFORMED: Final = "malformed"
OVERSIZED: Final = "oversized"
FUTURE: Final = "future"
NO_RATE: Final = "no-rate"
CONFLICT: Final = "conflict"
FOREIGN: Final = "foreign"


def dead_letter(record: Record, source: str, reason: str, detail: str) -> Output:
    """A dead letter of a record as it was read from the topic `source`."""
    return _letter(record.key, record.value, record.headers, record.timestamp_ms, reason, detail, _at(source, record))


def dead_letter_of_route(record: Record, route: Route, sender_headers: Headers, reason: str, detail: str) -> Output:
    """A dead letter of a record on its way, as it was when it first came in."""
    topic, partition, offset, timestamp_ms = route.origin
    key = record.key if route.has_account_key else route.key
    source = f"{topic}-{partition}@{offset}"
    return _letter(key, record.value, sender_headers, timestamp_ms, reason, detail, source)


def _at(source: str, record: Record) -> str:
    return f"{source}-{record.partition}@{record.offset}"


def _letter(
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    timestamp_ms: int,
    reason: str,
    detail: str,
    source: str,
) -> Output:
    why = (
        (REASON_HEADER, reason.encode()),
        (DETAIL_HEADER, detail.encode()),
        (SOURCE_HEADER, source.encode()),
    )
    return Output(DEAD_LETTERS, key, value, (*headers, *why), timestamp_ms)
