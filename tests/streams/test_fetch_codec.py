"""Fetch requests and responses by `struct`, held against aiokafka's own schema."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11, FetchResponse_v11
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.fetch_codec import QuickFetchRequest, QuickFetchResponse, SessionFetch, fetch_quickly
from streams.engine.fetch_session import FetchSession


def _signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


int16, int32, int64 = _signed(16), _signed(32), _signed(64)
names = st.text(max_size=9)
aborted = st.none() | st.lists(st.tuples(int64, int64), max_size=3)
answers = st.tuples(int32, int16, int64, int64, int64, aborted, int32, st.none() | st.binary(max_size=40))
responses = st.tuples(int32, int16, int32, st.lists(st.tuples(names, st.lists(answers, max_size=4)), max_size=4))
asked = st.lists(st.tuples(names, st.lists(st.tuples(int32, int64, int32), max_size=4)), max_size=4)
requests = st.builds(FetchRequest, int32, int32, int32, st.integers(0, 1), asked, names)
partitions = st.lists(st.tuples(int32, int32, int64, int64, int32), max_size=4)
forgotten = st.lists(st.tuples(names, st.lists(int32, max_size=3)), max_size=3)
structs = st.tuples(
    int32, int32, int32, int32, st.integers(0, 1), int32, int32, st.lists(st.tuples(names, partitions), max_size=4),
    forgotten, names,
)  # fmt: skip


def in_session(request: FetchRequest) -> SessionFetch:
    request.__class__ = SessionFetch
    assert isinstance(request, SessionFetch)
    request.session = FetchSession()
    return request


@given(responses, st.binary(max_size=5))
def test_a_response_is_read_as_aiokafka_reads_it(response: tuple[Any, ...], header: bytes) -> None:
    raw = FetchResponse_v11(*response).encode()
    behind_header = BytesIO(header + raw)
    behind_header.seek(len(header))
    theirs = FetchResponse_v11.decode(raw)
    assert QuickFetchResponse.decode(raw) == theirs
    assert QuickFetchResponse.decode(behind_header) == theirs


@given(structs)
def test_a_request_has_the_bytes_that_aiokafka_gives_it(request: tuple[Any, ...]) -> None:
    assert QuickFetchRequest(*request).encode() == FetchRequest_v11(*request).encode()


@given(requests)
def test_the_first_request_of_a_session_is_what_aiokafka_asks_but_for_the_session(request: FetchRequest) -> None:
    theirs: Any = request.prepare({1: (4, 17)})
    assert type(theirs) is FetchRequest_v11
    vars(theirs).update(session_epoch=0)
    ours = in_session(request).prepare({1: (4, 17)})
    assert type(ours) is QuickFetchRequest
    assert ours.encode() == theirs.encode()
    assert ours.RESPONSE_TYPE is QuickFetchResponse


@given(requests)
def test_an_older_broker_is_asked_as_aiokafka_asks_it(request: FetchRequest) -> None:
    assert type(in_session(request).prepare({1: (0, 4)})) is FetchRequest_v4


class Client:
    """aiokafka's client: notes the question of each fetch, and gives the answer that it was told to give."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: QuickFetchResponse | Exception = QuickFetchResponse(0, 0, 7, [])

    async def send(self, node_id: int, request: Any) -> Any:
        made = request.prepare({1: (4, 17)})
        self.asked.append((node_id, made.session_id, made.session_epoch, made.topics))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_consumer_has_a_session_with_each_broker_and_another_after_a_failure() -> None:
    client: Any = Client()
    consumer: Any = SimpleNamespace(_client=client)
    fetch_quickly(consumer)
    everything = [("purchases", [(0, -1, 5, -1, 9)])]

    async def ask(node_id: int) -> Any:
        await client.send(node_id, FetchRequest(50, 1, 100, 0, [("purchases", [(0, 5, 9)])]))
        return client.asked[-1]

    async def story() -> None:
        assert await ask(1) == (1, 0, 0, everything)
        assert await ask(1) == (1, 7, 1, [])
        assert await ask(2) == (2, 0, 0, everything)
        client.answer = KafkaConnectionError()
        with pytest.raises(KafkaConnectionError):
            await ask(1)
        client.answer = QuickFetchResponse(0, 0, 8, [])
        assert await ask(1) == (1, 7, 0, everything)
        assert await ask(1) == (1, 8, 1, [])
        assert await ask(2) == (2, 7, 1, [])

    asyncio.run(story())
