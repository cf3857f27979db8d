"""Which partition a key belongs to: murmur2, as Kafka's own clients choose it."""

# aiokafka is typed in part only.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

# Keys come back (accounts, devices, merchants); the hash in Python costs ten times the look-up.
_CACHED_KEYS = 65_536


@lru_cache(maxsize=_CACHED_KEYS)
def partition_for(key: bytes, partitions: int) -> int:
    """The partition among `partitions` in which records with `key` lie."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
