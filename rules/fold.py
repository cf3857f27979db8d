"""How the pure steps meet a log: a fold takes one partition's records in offset order.

A fold owns everything it knows. Given the same records in the same order it gives the same outputs and
the same state records, byte for byte, whoever runs it and however the run was cut: that is what makes a
crash harmless and a recording replayable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class SourceRecord(Protocol):
    """A record as it was read from a partition, named as Kafka's clients name its parts.

    `timestamp` is the broker's, epoch milliseconds.
    """

    @property
    def offset(self) -> int: ...  # noqa: D102  # named by the class
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102


class Record(NamedTuple):
    """A source record that comes from elsewhere than a Kafka client."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int = 0


class Output(NamedTuple):
    """One record to write. `topic` is the logical name; `timestamp_ms` None lets the producer stamp it.

    `partition` None: that of its key, and the first for a record without one.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    partition: int | None = None


class StateNotReadyError(Exception):
    """A fold can't take a record yet (its ruleset has not arrived); nothing was changed by it."""


class Fold(Protocol):
    """One partition's state and the step that moves it."""

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Replace the whole state by these state records, as `changes` once gave them."""
        ...

    def apply(self, record: SourceRecord) -> Sequence[Output]:
        """Take the next record; a record that can't be used becomes a dead letter, never an exception."""
        ...

    def flush(self) -> Sequence[Output]:
        """What was held back, to be written together; asked for at the end of each run."""
        ...

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call; None as the value deletes the key."""
        ...
