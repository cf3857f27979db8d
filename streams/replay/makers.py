"""Whose work a recorded record is: the station or the desk that wrote it, by what it carries."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from models.label import InvalidLabel, decode_label
from models.purchase import InvalidPurchase, decode_purchase
from rules.dead_letter import CONFLICT, OVERSIZED, REASON_HEADER, SOURCE_HEADER
from rules.fold import Record, StateNotReadyError
from rules.plan import RulesetPlan
from rules.route import LABEL, PURCHASE, InvalidRouteError, Route, read_route
from rules.rulesets import Rulesets
from rules.step import itinerary, label_itinerary
from streams.engine.partitioner import partition_for
from streams.recording.reader import Recording
from streams.recording.recorded import FROM_DESKS
from streams.topics import ASSESSMENTS, DEAD_LETTERS, PURCHASES, SIGHTINGS

_SOURCE: Final = re.compile(rb"(.+)-(\d+)@(\d+)")


class Maker(NamedTuple):
    """The partition whose fold wrote a record. Where that is not `certain`, a router may have written it instead."""

    topic: str
    partition: int
    certain: bool = True


# Of records that can't be read: they are foreign, or altered.
STRAY: Final = Maker("stray", 0, certain=False)


class Place(NamedTuple):
    """A record's place in a topic."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


def source_of(record: Record) -> Place | None:
    """Where the record came from that a dead letter holds; None for one that Stopbank did not write."""
    found = _SOURCE.fullmatch(dict(record.headers).get(SOURCE_HEADER) or b"")
    return Place(found[1].decode(errors="replace"), int(found[2]), int(found[3])) if found else None


class Makers:
    """Finds makers in a recording."""

    def __init__(self, recording: Recording, rulesets: Rulesets) -> None:
        self._rulesets = rulesets
        self._partitions = {topic: recording.partitions(topic) for topic in (SIGHTINGS, ASSESSMENTS)}

    def maker_of(self, topic: str, record: Record) -> Maker | None:
        """The maker of a record on a topic that folds write to; None where it is a router's."""
        if topic in FROM_DESKS:
            return self._fold(ASSESSMENTS, record.key or b"")
        if topic == DEAD_LETTERS:
            return self._of_dead_letter(record)
        try:
            route, _ = read_route(record)
            return self._of_passing(topic, record, route)
        except (InvalidRouteError, InvalidPurchase, InvalidLabel, StateNotReadyError):
            return STRAY

    def _of_passing(self, topic: str, record: Record, route: Route) -> Maker | None:
        """A record on its way comes from the stop that is behind it."""
        plan = self._rulesets.get(route.ruleset).plan
        if route.kind == PURCHASE and not plan.stations:
            # A router would have bundled it: it was forwarded by the desk of another account.
            return self._fold(ASSESSMENTS, route.key) if topic == ASSESSMENTS and route.key else None
        way = _way_of(record, route, plan)
        visited = len(way) - len(route.stops)
        return self._fold(SIGHTINGS, way[visited - 1].encode()) if visited > 0 else None

    def _of_dead_letter(self, record: Record) -> Maker | None:
        source, reason = source_of(record), dict(record.headers).get(REASON_HEADER)
        if source is None:
            return STRAY
        if source.topic in self._partitions:
            return Maker(source.topic, source.partition)
        if source.topic != PURCHASES or reason == OVERSIZED.encode():
            return None
        if reason == CONFLICT.encode():
            try:
                return self._fold(ASSESSMENTS, decode_purchase(record.value or b"").account_id.encode())
            except InvalidPurchase:
                return STRAY
        # Out of a bundle, or refused by a router.
        return self._fold(ASSESSMENTS, record.key)._replace(certain=False) if record.key else None

    def _fold(self, topic: str, key: bytes) -> Maker:
        return Maker(topic, partition_for(key, self._partitions[topic]))


def _way_of(record: Record, route: Route, plan: RulesetPlan) -> tuple[str, ...]:
    """All stops of a record. Raises InvalidPurchase, InvalidLabel."""
    if route.kind == PURCHASE:
        return itinerary(plan, decode_purchase(record.value or b""))
    if route.kind == LABEL:
        purchase = decode_label(record.value or b"").purchase
        return label_itinerary(plan, purchase) if purchase is not None else ()
    return ()
