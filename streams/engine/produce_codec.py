"""Produce requests and responses, packed and unpacked a batch at a time.

aiokafka does so a number at a time, by a schema, and copies each batch with every level of it. Here the same bytes are
written and read by `struct` for version 7, the newest that aiokafka speaks; for older brokers nothing changes.
"""

# aiokafka is typed in part only, and has no other place for this than its private attributes.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v7, ProduceResponse_v7

from streams.engine.plain_headers import PlainHeaders
from streams.engine.wire import INT, SHORT, pack_text, unpack_topic

# required_acks, timeout, how many topics
_REQUEST: Final = struct.Struct(">hii")
# partition, how many bytes of records
_BATCH: Final = struct.Struct(">ii")
# partition, error_code, offset, timestamp, log_start_offset
_ANSWERED: Final = struct.Struct(">ihqqq")
_NO_TEXT: Final = SHORT.pack(-1)


class QuickProduceResponse(ProduceResponse_v7):
    """A response as aiokafka has it."""

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> Self:
        """Read one from behind its header."""
        raw, at = (data, 0) if isinstance(data, bytes) else (data.getvalue(), data.tell())
        (count,) = INT.unpack_from(raw, at)
        at += INT.size
        topics: list[tuple[str, list[tuple[int, int, int, int, int]]]] = []
        for _ in range(count):
            topic, partitions, at = unpack_topic(raw, at)
            end = at + partitions * _ANSWERED.size
            topics.append((topic, list(_ANSWERED.iter_unpack(raw[at:end]))))
            at = end
        return cls(topics, *INT.unpack_from(raw, at))


class QuickProduceRequest(PlainHeaders, ProduceRequest_v7):
    """A request as aiokafka has it."""

    RESPONSE_TYPE = QuickProduceResponse

    def encode(self) -> bytes:
        """Its bytes, without the header."""
        made: Any = self
        name = made.transactional_id
        parts: list[bytes | bytearray] = [
            _NO_TEXT if name is None else pack_text(name),
            _REQUEST.pack(made.required_acks, made.timeout, len(made.topics)),
        ]
        for topic, partitions in made.topics:
            parts += [pack_text(topic), INT.pack(len(partitions))]
            for partition, batch in partitions:
                parts += [_BATCH.pack(partition, len(batch)), batch]
        return b"".join(parts)


class _Builder(ProduceRequest):
    def build(self, request_struct_class: Any) -> Any:
        quick = request_struct_class is ProduceRequest_v7
        return super().build(QuickProduceRequest if quick else request_struct_class)


def produce_quickly(producer: AIOKafkaProducer) -> None:
    """Let a producer pack and unpack its requests so."""
    client: Any = producer.client
    send = client.send

    def send_quickly(node_id: int, request: Any, **options: Any) -> Any:
        if type(request) is ProduceRequest:
            # The same request with another way to be built; `Sender` makes it deep inside.
            request.__class__ = _Builder
        return send(node_id, request, **options)

    client.send = send_quickly
