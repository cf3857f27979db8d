"""Holes in what a broker shows: read again for a while, because some show a later record before an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import TopicPartition

from rules.fold import SourceRecord


class Shown(NamedTuple):
    """Records that may be taken, and the offset to read again from, if any."""

    records: Sequence[SourceRecord]
    reread_from: int | None = None


class Holes:
    """The first hole of each partition, and since when it has been there; believed after `patience_s`."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[TopicPartition, tuple[int, float]] = {}

    def judge(self, tp: TopicPartition, records: Sequence[SourceRecord], due: int, now_s: float) -> Shown:
        """Of fetched records, those up to the first hole that is not believed yet; `due` is the offset that is next."""
        if not self._patience_s:
            return Shown(records)
        for index, record in enumerate(records):
            if record.offset != due and now_s - self._first_seen(tp, due, now_s) < self._patience_s:
                return Shown(records[:index], due)
            due = record.offset + 1
        return Shown(records)

    def _first_seen(self, tp: TopicPartition, due: int, now_s: float) -> float:
        known = self._since.get(tp)
        if known is None or known[0] != due:
            known = self._since[tp] = (due, now_s)
        return known[1]
