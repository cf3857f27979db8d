"""Labels that rules could not count when they came: those that say fraud and don't carry their purchase."""

from __future__ import annotations

from models.label import InvalidLabel, decode_label
from streams.recording.reader import Recording
from streams.topics import LABELS


def fraud_without_purchase(recording: Recording) -> int:
    """How many recorded labels these are. Raises RecordingError."""
    count = 0
    for partition in range(recording.partitions(LABELS)):
        for record in recording.read(LABELS, partition):
            try:
                label = decode_label(record.value or b"")
            except InvalidLabel:
                continue
            count += label.says_fraud and label.purchase is None
    return count
