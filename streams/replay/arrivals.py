"""Whether every record that came in was sent on its way: its origin is seen behind the routers, or it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rules.bundle import InvalidBundleError, unpack_bundle
from rules.fold import Record, StateNotReadyError
from rules.language.compile import CompiledRuleset
from rules.route import BUNDLE, InvalidRouteError, read_route
from rules.router import Router
from rules.rulesets import Rulesets
from streams.engine.partitioner import partition_for
from streams.recording.reader import Recording
from streams.replay.lanes import Lanes
from streams.replay.makers import Place, source_of
from streams.topics import ASSESSMENTS, DEAD_LETTERS, INCOMING, LABELS

_BITS: Final = 8


class Arrivals:
    """Origins seen on the topics behind the routers; a bit for each record that came in."""

    def __init__(self, recording: Recording, rulesets: Rulesets, lanes: Lanes) -> None:
        self._recording = recording
        self._rulesets = rulesets
        self._lanes = lanes
        self._begins: dict[tuple[str, int], int] = {}
        self._seen: dict[tuple[str, int], bytearray] = {}
        # Of each incoming partition, the origin that was seen first on a lane, and the last; in bundles apart, which a
        # router sends at the end of a run. Not the least: that may come again behind the beginning, and what was
        # between the two was before it.
        self._bounds: dict[tuple[str, int, int, bool], tuple[int, int]] = {}
        self._references: set[str] = set()
        for topic in INCOMING:
            for partition in range(recording.partitions(topic)):
                begin = recording.manifest.begin_offset(topic, partition)
                length = recording.manifest.end_offset(topic, partition) - begin
                self._begins[topic, partition] = begin
                self._seen[topic, partition] = bytearray(-(-length // _BITS))

    def note(self, topic: str, record: Record, *, is_routed: bool) -> None:
        """Take notice of a recorded record behind the routers; `is_routed` says that one of them wrote it itself.

        What stations and desks send on lies on its next lane in another order.
        """
        lane = self._lanes.lane(topic, record.partition)
        if topic == DEAD_LETTERS:
            source = source_of(record)
            if source is not None:
                self._see(source)
                if is_routed:
                    self._stretch(source, lane, is_bundled=False)
            return
        try:
            route, _ = read_route(record)
            self._references.add(route.ruleset)
            is_bundled = route.kind == BUNDLE
            for offset in self._offsets(record) if is_bundled else (route.origin.offset,):
                place = Place(route.origin.topic, route.origin.partition, offset)
                self._see(place)
                if is_routed:
                    self._stretch(place, lane, is_bundled=is_bundled)
        except (InvalidRouteError, InvalidBundleError):
            # Foreign: a station or a desk says so in a dead letter.
            return

    @staticmethod
    def _offsets(record: Record) -> list[int]:
        return [offset for offset, *_ in unpack_bundle(record.value or b"")]

    def _see(self, origin: Place) -> None:
        topic, partition, offset = origin
        seen = self._seen.get((topic, partition))
        if seen is None:
            return
        at = offset - self._begins[topic, partition]
        if 0 <= at < len(seen) * _BITS:
            seen[at // _BITS] |= 1 << at % _BITS

    def _stretch(self, origin: Place, lane: int, *, is_bundled: bool) -> None:
        topic, partition, offset = origin
        at_lane = topic, partition, lane, is_bundled
        first, last = self._bounds.get(at_lane, (offset, offset))
        self._bounds[at_lane] = first, max(last, offset)

    def unseen(self) -> Iterator[tuple[Place, bool]]:
        """Records that nothing came of, and whether they are lost; the others came too early or too late.

        A label may say nothing to the rules and go nowhere: of labels, only those that are lost are named.
        """
        for (topic, partition), seen in self._seen.items():
            length = self._recording.manifest.end_offset(topic, partition) - self._begins[topic, partition]
            if int.from_bytes(seen, "little").bit_count() == length:
                continue
            first, last = self._span(topic, partition)
            for record in self._recording.read(topic, partition):
                at = record.offset - self._begins[topic, partition]
                if not seen[at // _BITS] >> at % _BITS & 1:
                    is_lost = first <= record.offset <= last and self._is_lost(topic, record)
                    if is_lost or topic != LABELS:
                        yield Place(topic, partition, record.offset), is_lost

    def _span(self, topic: str, partition: int) -> tuple[int, int]:
        """Offsets outside of which nothing is lost: nothing before them was recorded, or nothing behind them."""
        bounds = [span for (of, at, *_), span in self._bounds.items() if (of, at) == (topic, partition)]
        if not bounds:
            return 0, -1
        # Without one that begins late, nothing was before the beginning.
        first = min(first for first, _ in bounds) if self._lanes.any_begins_late() else 0
        return first, max(last for _, last in bounds)

    def _is_lost(self, topic: str, record: Record) -> bool:
        """Whether what lies before and behind it was recorded wherever a router may have sent it."""
        tried = False
        for reference in self._references:
            try:
                lanes = self._routed(topic, record, self._rulesets.get(reference))
            except StateNotReadyError:
                continue
            tried = True
            if not lanes:
                # It says nothing to these rules, and goes nowhere.
                return False
            for lane, is_bundled in lanes:
                first, last = self._bounds.get((topic, record.partition, lane, is_bundled), (0, -1))
                is_early = self._lanes.begins_late(lane) and (last < 0 or record.offset < first)
                if is_early or record.offset > last:
                    return False
        return tried

    def _routed(self, topic: str, record: Record, ruleset: CompiledRuleset) -> list[tuple[int, bool]]:
        """The lanes that a router sends it to, and whether in a bundle."""

        def partition_of(key: bytes) -> int:
            return partition_for(key, self._recording.partitions(ASSESSMENTS))

        router = Router(topic, _Only(ruleset), partition_of, self._recording.manifest.max_ahead_ms)
        sent, bundles = router.apply(record), router.flush()
        return [
            (self._lanes.lane_for(output), is_bundled)
            for outputs, is_bundled in ((sent, False), (bundles, True))
            for output in outputs
            # Whoever asked for a reply is told of a refusal, too: that is not recorded.
            if self._lanes.is_written(output.topic)
        ]


class _Only:
    """A ruleset that is in force."""

    def __init__(self, ruleset: CompiledRuleset) -> None:
        self._ruleset = ruleset

    def in_force(self) -> CompiledRuleset:
        return self._ruleset

    def get(self, reference: str) -> CompiledRuleset:
        del reference
        return self._ruleset
