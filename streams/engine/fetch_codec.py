"""Fetch requests and responses, packed and unpacked a partition at a time, and in sessions.

aiokafka packs a number at a time, by a schema, and knows no sessions. A worker asks for all of its partitions again
and again, most of them quiet: at a low rate that is a tenth of all it does, and everybody waits for it. Here the same
bytes are written and read by `struct` for version 11 of the fetch, the newest that aiokafka speaks, and only what is
new is asked (`streams/engine/fetch_session.py`); for older brokers nothing changes.
"""

# aiokafka is typed in part only, and has no other place for this than its private attributes.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import struct
from collections import defaultdict
from io import BytesIO
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11, FetchResponse_v11

from streams.engine.fetch_session import FetchSession
from streams.engine.plain_headers import PlainHeaders
from streams.engine.wire import INT, pack_text, unpack_topic

# replica, max_wait_time, min_bytes, max_bytes, isolation_level, session_id, session_epoch, how many topics
_REQUEST: Final = struct.Struct(">iiiibiii")
# partition, current_leader_epoch, fetch_offset, log_start_offset, max_bytes
_ASKED: Final = struct.Struct(">iiqqi")
# throttle_time_ms, error_code, session_id, how many topics
_RESPONSE: Final = struct.Struct(">ihii")
# partition, error_code, highwater_offset, last_stable_offset, log_start_offset, how many aborted transactions
_ANSWERED: Final = struct.Struct(">ihqqqi")
# producer_id, first_offset
_ABORTED: Final = struct.Struct(">qq")
# preferred_read_replica, how many bytes of records
_RECORDS: Final = struct.Struct(">ii")

# Who asks is no broker.
_NO_REPLICA: Final = -1

# As aiokafka has them: partition, error_code, highwater_offset, last_stable_offset, log_start_offset,
# aborted_transactions, preferred_read_replica, message_set.
_Answer = tuple[int, int, int, int, int, list[tuple[int, int]] | None, int, bytes | None]


class QuickFetchResponse(FetchResponse_v11):
    """A response as aiokafka has it."""

    @classmethod
    def decode(cls, data: BytesIO | bytes) -> Self:
        """Read one from behind its header."""
        raw, at = (data, 0) if isinstance(data, bytes) else (data.getvalue(), data.tell())
        throttle_time_ms, error_code, session_id, count = _RESPONSE.unpack_from(raw, at)
        at += _RESPONSE.size
        topics: list[tuple[str, list[_Answer]]] = []
        for _ in range(count):
            topic, partitions, at = unpack_topic(raw, at)
            answers: list[_Answer] = []
            for _ in range(partitions):
                answer, at = _answer(raw, at)
                answers.append(answer)
            topics.append((topic, answers))
        return cls(throttle_time_ms, error_code, session_id, topics)


def _answer(raw: bytes, at: int) -> tuple[_Answer, int]:
    """One partition's answer at a place, and the place behind it."""
    partition, error_code, highwater, last_stable, log_start, count = _ANSWERED.unpack_from(raw, at)
    at += _ANSWERED.size
    aborted: list[tuple[int, int]] | None = None if count < 0 else []
    for _ in range(count):
        assert aborted is not None
        aborted.append(_ABORTED.unpack_from(raw, at))
        at += _ABORTED.size
    replica, length = _RECORDS.unpack_from(raw, at)
    at += _RECORDS.size
    records = None
    if length >= 0:
        records = raw[at : at + length]
        at += length
    return (partition, error_code, highwater, last_stable, log_start, aborted, replica, records), at


class QuickFetchRequest(PlainHeaders, FetchRequest_v11):
    """A request as aiokafka has it."""

    RESPONSE_TYPE = QuickFetchResponse

    def encode(self) -> bytes:
        """Its bytes, without the header."""
        made: Any = self
        parts = [
            _REQUEST.pack(
                made.replica_id,
                made.max_wait_time,
                made.min_bytes,
                made.max_bytes,
                made.isolation_level,
                made.session_id,
                made.session_epoch,
                len(made.topics),
            )
        ]
        for topic, partitions in made.topics:
            parts += [pack_text(topic), INT.pack(len(partitions))]
            parts += [_ASKED.pack(*asked) for asked in partitions]
        parts.append(INT.pack(len(made.forgotten_topics_data)))
        for topic, numbers in made.forgotten_topics_data:
            parts += [pack_text(topic), struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)]
        parts.append(pack_text(made.rack_id))
        return b"".join(parts)


class SessionFetch(FetchRequest):
    """A fetch that is built for the broker's session where the broker speaks of such."""

    session: FetchSession

    def build(self, request_struct_class: Any) -> Any:
        """The request in the version that is asked for."""
        if request_struct_class is not FetchRequest_v11:
            return super().build(request_struct_class)
        session_id, number, topics, forgotten = self.session.ask(self._topics)
        return QuickFetchRequest(
            _NO_REPLICA,
            self._max_wait_ms,
            self._min_bytes,
            self._max_bytes,
            self._isolation_level,
            session_id,
            number,
            [(topic, [(part, -1, position, -1, most) for part, position, most in parts]) for topic, parts in topics],
            forgotten,
            self._rack_id,
        )


def fetch_quickly(consumer: AIOKafkaConsumer) -> None:
    """Let a consumer pack and unpack its fetches so."""
    client: Any = consumer._client
    send, sessions = client.send, defaultdict[int, FetchSession](FetchSession)

    async def send_quickly(node_id: int, request: Any, **options: Any) -> Any:
        if type(request) is not FetchRequest:
            return await send(node_id, request, **options)
        session = sessions[node_id]
        # The same request with another way to be built; `Fetcher` makes it deep inside.
        request.__class__ = SessionFetch
        request.session = session  # pyright: ignore[reportAttributeAccessIssue]  # it is one now
        try:
            response = await send(node_id, request, **options)
        except BaseException:
            session.lost()
            raise
        if isinstance(response, QuickFetchResponse):
            answered: Any = response
            session.answered(answered.session_id, answered.error_code)
        return response

    client.send = send_quickly
