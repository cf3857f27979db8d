"""Partitions are those that Kafka's clients choose."""

from __future__ import annotations

from aiokafka import partitioner as theirs
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.partitioner import murmur2, partition_for


@given(st.binary(max_size=40))
def test_the_hash_is_that_of_the_client(key: bytes) -> None:
    assert murmur2(key) == theirs.murmur2(key)  # pyright: ignore[reportUnknownMemberType]  # as above


def test_a_key_lies_where_the_java_client_puts_it() -> None:
    # From Kafka's own tests of its hash (UtilsTest).
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for key, signed in known.items():
        assert murmur2(key) == signed % 2**32
        assert partition_for(key, 7) == (signed & 0x7FFFFFFF) % 7
