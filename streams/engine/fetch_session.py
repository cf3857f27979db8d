"""What a broker keeps of a consumer's fetches from one to the next (KIP-227): only what is new is asked and answered.

A worker asks one broker for all of its partitions, most of them quiet, some hundred times a second. In a session a
request names the partitions whose position has moved, and a response those that have records, or another high
watermark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

# partition, position, max_bytes, as aiokafka has them
Asked = tuple[int, int, int]
Topics = Sequence[tuple[str, Sequence[Asked]]]

# With this number a request names everything, ends the session that it names, and asks for a new one.
_FIRST: Final = 0
_LAST_NUMBER: Final = 2**31 - 1
# Stands for no session.
_NONE: Final = 0


class Question(NamedTuple):
    """What a request says: of which session, the how manieth, what to read from now on, and what no longer."""

    session_id: int
    number: int
    topics: Topics
    forgotten: Sequence[tuple[str, Sequence[int]]] = ()


class FetchSession:
    """One consumer's session with one broker. Brokers that keep none, or forget it, are asked for everything."""

    def __init__(self) -> None:
        self._id = _NONE
        self._number = _FIRST
        # What the broker reads for this session, by topic and partition.
        self._known: dict[str, dict[int, Asked]] = {}

    def ask(self, topics: Topics) -> Question:
        """What to say in order to be given these partitions. `answered` or `lost` comes next."""
        known, self._known = self._known, {topic: {asked[0]: asked for asked in parts} for topic, parts in topics}
        if self._number == _FIRST:
            return Question(self._id, _FIRST, topics)
        return Question(self._id, self._number, _moved(known, topics), _missing(known, self._known))

    def answered(self, session_id: int, error_code: int) -> None:
        """Take note of a response: its session, and whether the broker knew what was asked."""
        if error_code or session_id == _NONE:
            self._id, self._number = session_id, _FIRST
        else:
            self._id, self._number = session_id, self._number % _LAST_NUMBER + 1

    def lost(self) -> None:
        """No response has come, and what the broker knows now is not known here: begin again."""
        self._number = _FIRST


def _moved(known: dict[str, dict[int, Asked]], topics: Topics) -> Topics:
    """What the broker does not read as it is asked now."""
    moved: list[tuple[str, list[Asked]]] = []
    for topic, parts in topics:
        before = known.get(topic, {})
        changed = [asked for asked in parts if before.get(asked[0]) != asked]
        if changed:
            moved.append((topic, changed))
    return moved


def _missing(
    known: dict[str, dict[int, Asked]], now: dict[str, dict[int, Asked]]
) -> Sequence[tuple[str, Sequence[int]]]:
    """What the broker reads, and nobody asks for now."""
    missing: list[tuple[str, list[int]]] = []
    for topic, before in known.items():
        gone = before.keys() - now.get(topic, {}).keys()
        if gone:
            missing.append((topic, sorted(gone)))
    return missing
