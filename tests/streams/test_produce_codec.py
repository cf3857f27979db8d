"""Produce requests and responses by `struct`, held against aiokafka's own schema."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v3, ProduceRequest_v7, ProduceResponse_v7
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.produce_codec import QuickProduceRequest, QuickProduceResponse, produce_quickly


def _signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


int16, int32, int64 = _signed(16), _signed(32), _signed(64)
names = st.text(max_size=9)
answers = st.tuples(int32, int16, int64, int64, int64)
responses = st.tuples(st.lists(st.tuples(names, st.lists(answers, max_size=4)), max_size=4), int32)
batches = st.lists(st.tuples(int32, st.binary(max_size=40).map(bytearray)), max_size=4)
topics = st.lists(st.tuples(names, batches), max_size=4)
requests = st.builds(ProduceRequest, st.none() | names, int16, int32, topics)


def prepared(request: ProduceRequest, newest: int) -> Any:
    """As a producer's client sends it to a broker that speaks versions up to `newest`."""

    async def send(_node_id: int, request: Any) -> Any:
        return request.prepare({0: (0, newest)})

    client: Any = SimpleNamespace(send=send)
    producer: Any = SimpleNamespace(client=client)
    produce_quickly(producer)
    return asyncio.run(client.send(1, request))


@given(responses, st.binary(max_size=5))
def test_a_response_is_read_as_aiokafka_reads_it(response: tuple[Any, ...], header: bytes) -> None:
    raw = ProduceResponse_v7(*response).encode()
    behind_header = BytesIO(header + raw)
    behind_header.seek(len(header))
    theirs = ProduceResponse_v7.decode(raw)
    assert QuickProduceResponse.decode(raw) == theirs
    assert QuickProduceResponse.decode(behind_header) == theirs


@given(requests, st.integers(0, 2**31 - 1), names)
def test_a_request_has_the_bytes_that_aiokafka_gives_it(request: ProduceRequest, number: int, client: str) -> None:
    theirs = request.prepare({0: (0, 11)})
    assert type(theirs) is ProduceRequest_v7
    ours = prepared(request, 11)
    assert type(ours) is QuickProduceRequest
    assert ours.encode() == theirs.encode()
    assert ours.RESPONSE_TYPE is QuickProduceResponse
    header = theirs.build_request_header(number, client)
    assert type(header) is RequestHeader_v1
    assert ours.build_request_header(number, client).encode() == header.encode()


@given(st.integers(0, 2**31 - 1), st.binary(max_size=9))
def test_a_response_belongs_to_the_request_that_its_header_tells(number: int, rest: bytes) -> None:
    buffer = BytesIO(number.to_bytes(4, "big") + rest)
    request = QuickProduceRequest(None, -1, 1_000, [])
    assert request.parse_response_header(buffer).correlation_id == number
    assert buffer.read() == rest
    assert request.parse_response_header(number.to_bytes(4, "big") + rest).correlation_id == number


@given(requests)
def test_an_older_broker_is_sent_what_aiokafka_sends(request: ProduceRequest) -> None:
    assert type(prepared(request, 3)) is ProduceRequest_v3
