"""Fetch requests and responses by `struct`, held against aiokafka's own schema."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11, FetchResponse_v11
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.fetch_codec import QuickFetchRequest, QuickFetchResponse, _Builder  # pyright: ignore[reportPrivateUsage]  # what a consumer's requests become


def _signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


int16, int32, int64 = _signed(16), _signed(32), _signed(64)
names = st.text(max_size=9)
aborted = st.none() | st.lists(st.tuples(int64, int64), max_size=3)
answers = st.tuples(int32, int16, int64, int64, int64, aborted, int32, st.none() | st.binary(max_size=40))
responses = st.tuples(int32, int16, int32, st.lists(st.tuples(names, st.lists(answers, max_size=4)), max_size=4))
asked = st.lists(st.tuples(names, st.lists(st.tuples(int32, int64, int32), max_size=4)), max_size=4)
requests = st.builds(FetchRequest, int32, int32, int32, st.integers(0, 1), asked, names)


@given(responses, st.binary(max_size=5))
def test_a_response_is_read_as_aiokafka_reads_it(response: tuple[Any, ...], header: bytes) -> None:
    raw = FetchResponse_v11(*response).encode()
    behind_header = BytesIO(header + raw)
    behind_header.seek(len(header))
    theirs = FetchResponse_v11.decode(raw)
    assert QuickFetchResponse.decode(raw) == theirs
    assert QuickFetchResponse.decode(behind_header) == theirs


@given(requests)
def test_a_request_has_the_bytes_that_aiokafka_gives_it(request: FetchRequest) -> None:
    theirs = request.prepare({1: (4, 17)})
    assert type(theirs) is FetchRequest_v11
    request.__class__ = _Builder
    ours = request.prepare({1: (4, 17)})
    assert type(ours) is QuickFetchRequest
    assert ours.encode() == theirs.encode()
    assert ours.RESPONSE_TYPE is QuickFetchResponse


@given(requests)
def test_an_older_broker_is_asked_as_aiokafka_asks_it(request: FetchRequest) -> None:
    request.__class__ = _Builder
    assert type(request.prepare({1: (0, 4)})) is FetchRequest_v4
