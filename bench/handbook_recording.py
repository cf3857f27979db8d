"""The Handbook's payments as a recording: purchases and labels, as they would have come in over Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from bench.datasets import CardPayment
from rules.fold import Record
from streams.engine.partitioner import partition_for
from streams.recording.manifest import Manifest, TopicEntry
from streams.recording.writer import RecordingWriter
from streams.topics import LABELS, PURCHASES

PARTITIONS: Final = 4
# A fraud is known seven days after its payment: the feedback delay of the Handbook's protocol.
LABEL_DELAY_MS: Final = 7 * 86_400_000
CURRENCY: Final = "EUR"
_SEGMENT_BYTES: Final = 16_000_000


def record_handbook(payments: Sequence[CardPayment], location: str) -> None:
    """Write payments, in order of time, as a recording; all of them get a label. Transaction i is `t-i`."""
    topics = {name: TopicEntry(begin_offsets=[0] * PARTITIONS, dense=True) for name in (PURCHASES, LABELS)}
    writer = RecordingWriter.create(location, Manifest(created_ms=0, ruleset="handbook", max_ahead_ms=0, topics=topics))
    for number, payment in enumerate(payments):
        purchase = {
            "transaction_id": f"t-{number}",
            "account_id": f"c-{payment.card}",
            # A few payments are of nothing, and a purchase has an amount.
            "amount": max(1, payment.amount_minor),
            "currency": CURRENCY,
            "event_time": payment.time_ms,
            "merchant_id": f"m-{payment.terminal}",
            "mcc": "0000",
        }
        _append(writer, PURCHASES, purchase, payment.time_ms)
        known_ms = payment.time_ms + LABEL_DELAY_MS
        label = {
            "transaction_id": purchase["transaction_id"],
            "account_id": purchase["account_id"],
            "verdict": "fraud" if payment.is_fraud else "genuine",
            "event_time": known_ms,
        }
        _append(writer, LABELS, label, known_ms)
        if writer.pending_bytes > _SEGMENT_BYTES:
            writer.commit()
    writer.commit()


def _append(writer: RecordingWriter, topic: str, value: Mapping[str, object], timestamp_ms: int) -> None:
    key = str(value["account_id"]).encode()
    partition = partition_for(key, PARTITIONS)
    offset = writer.position(topic, partition)
    writer.append(topic, Record(offset, timestamp_ms, key, orjson.dumps(value), (), partition))
