"""Bundles: what was put in comes out as it was, and bytes that are none are refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.bundle import InvalidBundleError, pack_bundle, unpack_bundle
from rules.fold import Record

INT64 = st.integers(-(2**63), 2**63 - 1)
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=8)), max_size=3)
RECORDS = st.lists(
    st.builds(
        Record,
        offset=INT64,
        timestamp=INT64,
        key=st.none() | st.binary(max_size=12),
        value=st.none() | st.binary(max_size=40),
        headers=HEADERS.map(tuple),
    ),
    min_size=1,
    max_size=8,
)


@given(records=RECORDS)
def test_every_record_comes_out_of_a_bundle_as_it_went_in(records: list[Record]) -> None:
    assert unpack_bundle(pack_bundle(records)) == [
        (record.offset, record.timestamp, record.key, record.value, record.headers) for record in records
    ]


@given(raw=st.binary(max_size=80))
@example(raw=b"")
@example(raw=b"\xff\xff\xff\xff")
def test_bytes_that_are_no_bundle_are_refused_and_nothing_else_happens(raw: bytes) -> None:
    try:
        records = unpack_bundle(raw)
    except InvalidBundleError:
        return
    assert pack_bundle([Record(*record) for record in records]) == raw


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_bundle_that_is_cut_or_added_to_is_refused(cut: int) -> None:
    raw = pack_bundle([Record(1, 2, b"a-1", b"{}"), Record(2, 3, b"a-2", b"{}", (("h", b"v"),))])
    for broken in (raw[:-cut], raw + bytes(cut)):
        with pytest.raises(InvalidBundleError):
            unpack_bundle(broken)
