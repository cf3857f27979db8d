"""Dead letters: records that can't be used, kept byte for byte, with the reason in headers."""

from __future__ import annotations

from typing import Final

from rules.fold import Headers, Output, SourceRecord
from rules.route import Origin

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


class RefusedError(Exception):
    """A record that came in can't be used: the reason, for a machine, and the detail, for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def dead_letter(record: SourceRecord, source: str, reason: str, detail: str) -> Output:
    """A dead letter of a record as it was read from the topic `source`."""
    origin = Origin(source, record.partition, record.offset, record.timestamp)
    return dead_letter_of(record.key, record.value, tuple(record.headers), origin, reason, detail)


def dead_letter_of(
    key: bytes | None, value: bytes | None, headers: Headers, origin: Origin, reason: str, detail: str
) -> Output:
    """A dead letter of a record as it first came in, with the headers of its sender."""
    why = (
        (REASON_HEADER, reason.encode()),
        (DETAIL_HEADER, detail.encode()),
        (SOURCE_HEADER, f"{origin.topic}-{origin.partition}@{origin.offset}".encode()),
    )
    return Output(DEAD_LETTERS, key, value, (*headers, *why), origin.timestamp_ms)
