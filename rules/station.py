"""The station: enters a purchase into the log of the entity that it stops at, stamps it and sends it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rules.dead_letter import FOREIGN, dead_letter
from rules.entity import transaction_hash
from rules.fold import Output, SourceRecord
from rules.logbook import Logbook
from rules.plan import EntityPlan, RulesetPlan
from rules.route import LABEL, PURCHASE, Route
from rules.rulesets import Rulesets
from rules.sighting import sight
from rules.step import SIGHTINGS, Arrival, label_onward, onward, read_arrival, read_label, read_purchase
from rules.velocity import Subject
from rules.watermark import Watermark

_NO_STOP: Final = "the ruleset has no stop here for this"


class Station:
    """The fold over one partition of sightings."""

    def __init__(self, rulesets: Rulesets) -> None:
        self._rulesets = rulesets
        self._logbook = Logbook()
        self._watermark = Watermark()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the logs back from their state records."""
        self._logbook.restore(records)
        self._watermark.restore(records)

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """The chunks of logs that changed."""
        return [*self._logbook.changes(), *self._watermark.changes()]

    def flush(self) -> Sequence[Output]:
        """A station holds nothing back."""
        return ()

    def apply(self, record: SourceRecord) -> Sequence[Output]:
        """Take one sighting. Raises StateNotReadyError while its ruleset has not arrived."""
        arrival = read_arrival(record, SIGHTINGS, self._rulesets)
        if isinstance(arrival, Output):
            return [arrival]
        return self._labelled(arrival) if arrival.route.kind == LABEL else [self._visited(arrival)]

    def _visited(self, arrival: Arrival) -> Output:
        read = read_purchase(arrival, SIGHTINGS)
        if isinstance(read, Output):
            return read
        purchase, amount_minor = read
        record, route, sender_headers, compiled = arrival
        kind, reference, origin, key, has_account_key, stops, stamps, late = route
        ruleset = compiled.plan
        plan = _plan_of(ruleset, stops[0]) if stops and kind == PURCHASE else None
        if plan is None:
            return dead_letter(record, SIGHTINGS, FOREIGN, _NO_STOP)
        stamp, was_late = sight(self._logbook, self._watermark, ruleset, plan, stops[0], purchase, amount_minor)
        stamped = Route(kind, reference, origin, key, has_account_key, stops[1:], (*stamps, stamp), late or was_late)
        return onward(purchase.account_id, record.value, sender_headers, stamped)

    def _labelled(self, arrival: Arrival) -> Sequence[Output]:
        """Enter a purchase that a label says to be fraud."""
        read = read_label(arrival, SIGHTINGS)
        if isinstance(read, Output):
            return [read]
        purchase, amount_minor = read
        route, ruleset = arrival.route, arrival.ruleset.plan
        plan = _plan_of(ruleset, route.stops[0]) if route.stops else None
        if plan is None:
            return [dead_letter(arrival.record, SIGHTINGS, FOREIGN, _NO_STOP)]
        subject = Subject(purchase, amount_minor, transaction_hash(purchase.transaction_id))
        self._logbook.enter_fraud(ruleset, plan, route.stops[0], subject, self._watermark.latest_ms)
        past = route._replace(stops=route.stops[1:])
        return label_onward(ruleset, purchase.account_id, arrival.record.value, arrival.sender_headers, past)


def _plan_of(ruleset: RulesetPlan, stop: str) -> EntityPlan | None:
    return ruleset.stations_by_name.get(stop.partition(":")[0])
