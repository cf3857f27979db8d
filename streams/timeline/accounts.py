"""Credit limits and repayments of a recording, in order of their event times."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from models.account import CreditLimit, InvalidAccountRecord, Repayment, decode_credit_limit, decode_repayment
from rules.columns.table import NEVER_MS
from rules.fold import SourceRecord
from rules.intake import MAX_RECORD_BYTES
from streams.recording.manifest import SegmentEntry
from streams.recording.reader import Recording
from streams.recording.segment import records_of
from streams.topics import ACCOUNTS, REPAYMENTS

_AccountRecord = CreditLimit | Repayment
# At one moment limits come first.
_DECODERS: Final[dict[str, Callable[[bytes], _AccountRecord]]] = {
    ACCOUNTS: decode_credit_limit,
    REPAYMENTS: decode_repayment,
}
_RANKS: Final = {topic: rank for rank, topic in enumerate(_DECODERS)}


class _Timed(NamedTuple):
    event_time_ms: int
    rank: int
    partition: int
    offset: int
    event: _AccountRecord


@dataclass(frozen=True, slots=True)
class _Front:
    event_time_ms: int
    entry: SegmentEntry


class AccountFronts:
    """The smallest event time of each segment with account records, and how many records can't be used."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._fronts: list[_Front] | None = None
        self.bad_records = 0

    def in_order(self) -> list[_Front]:
        """All segments, the earliest first. Raises RecordingError."""
        if self._fronts is None:
            manifest = self._recording.manifest
            fronts: list[_Front] = []
            for entry in (entry for entry in manifest.segments if entry.topic in _DECODERS):
                times = [timed.event_time_ms for timed in self.read(entry)]
                self.bad_records += entry.rows - len(times)
                if times:
                    fronts.append(_Front(min(times), entry))
            self._fronts = sorted(fronts, key=lambda front: front.event_time_ms)
        return self._fronts

    def read(self, entry: SegmentEntry) -> Iterator[_Timed]:
        """The records of a segment that can be used. Raises RecordingError."""
        decode, rank = _DECODERS[entry.topic], _RANKS[entry.topic]
        for record in records_of(self._recording.table(entry)):
            event = self._event(record, decode)
            if event is not None:
                yield _Timed(event.event_time, rank, record.partition, record.offset, event)

    def _event(self, record: SourceRecord, decode: Callable[[bytes], _AccountRecord]) -> _AccountRecord | None:
        value = record.value or b""
        if len(value) > MAX_RECORD_BYTES:
            return None
        try:
            event = decode(value)
        except InvalidAccountRecord:
            return None
        return event if event.event_time <= record.timestamp + self._recording.manifest.max_ahead_ms else None


class AccountMerge:
    """One pass over a recording's credit limits and repayments; a segment is read when its first event is due."""

    def __init__(self, fronts: AccountFronts) -> None:
        self._fronts = fronts
        self._waiting = list(reversed(fronts.in_order()))
        self._held: list[_Timed] = []

    def until(self, event_time_ms: int = NEVER_MS) -> Iterator[_AccountRecord]:
        """What took place at this moment or before, and was not asked for yet, in order. Raises RecordingError."""
        while self._waiting and self._waiting[-1].event_time_ms <= event_time_ms:
            for timed in self._fronts.read(self._waiting.pop().entry):
                heapq.heappush(self._held, timed)
        while self._held and self._held[0].event_time_ms <= event_time_ms:
            yield heapq.heappop(self._held).event
