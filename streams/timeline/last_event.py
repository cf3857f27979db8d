"""When a recording ends: its latest purchase, found without reading all of it."""

from __future__ import annotations

from streams.recording.reader import Recording
from streams.timeline.decode import Refused, decode_batch
from streams.topics import PURCHASES


def last_event_ms(recording: Recording) -> int | None:
    """The event time of the latest purchase that can be used, epoch milliseconds; None without one.

    A purchase is dated little after its record, so that segments with old records can't hold it. Raises
    RecordingError.
    """
    manifest = recording.manifest
    entries = [entry for entry in manifest.segments if entry.topic == PURCHASES and entry.rows]
    last_ms: int | None = None
    for entry in sorted(entries, key=lambda entry: entry.last_ms, reverse=True):
        if last_ms is not None and entry.last_ms + manifest.max_ahead_ms <= last_ms:
            break
        batch = decode_batch(recording.table(entry), manifest.max_ahead_ms, Refused())
        if len(batch):
            latest_ms = int(batch.event_time_ms.max())
            last_ms = latest_ms if last_ms is None else max(last_ms, latest_ms)
    return last_ms
