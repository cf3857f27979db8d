"""The router: reads what comes in, picks the ruleset in force and sends each record on its way. It keeps no state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rules.bundle import pack_bundle
from rules.dead_letter import RefusedError, dead_letter
from rules.fold import Output, SourceRecord
from rules.intake import MAX_AHEAD_MS, Intake
from rules.language.compile import CompiledRuleset
from rules.plan import RulesetPlan
from rules.reply import with_refusals
from rules.route import (
    BUNDLE,
    CREDIT_LIMIT,
    DEGRADED,
    INQUIRY,
    LABEL,
    PURCHASE,
    REPAYMENT,
    SETTLEMENT,
    Origin,
    Route,
    with_route,
)
from rules.rulesets import Rulesets, reference_of
from rules.step import ASSESSMENTS, itinerary, label_itinerary, label_onward, onward

PURCHASES: Final = "purchases"
ACCOUNTS: Final = "accounts"
REPAYMENTS: Final = "repayments"
LABELS: Final = "labels"
SETTLEMENTS: Final = "settlements"
DEGRADED_ANSWERS: Final = "decisions.degraded"
INQUIRIES: Final = "inquiries"

KINDS: Final = {
    PURCHASES: PURCHASE,
    ACCOUNTS: CREDIT_LIMIT,
    REPAYMENTS: REPAYMENT,
    LABELS: LABEL,
    SETTLEMENTS: SETTLEMENT,
    DEGRADED_ANSWERS: DEGRADED,
    INQUIRIES: INQUIRY,
}
# Beyond this a bundle is closed: a record should stay small beside what a batch may hold.
MAX_BUNDLE_BYTES: Final = 96 * 1024


class Router:
    """The step on one of the incoming topics.

    `partition_of` tells the partition of assessments in which records with a key lie. Under a ruleset without
    stations a purchase that has a key is not even read here: it is bundled for the desk of its key, and read
    there.
    """

    def __init__(
        self,
        topic: str,
        rulesets: Rulesets,
        partition_of: Callable[[bytes], int],
        max_ahead_ms: int = MAX_AHEAD_MS,
    ) -> None:
        self._topic = topic
        self._rulesets = rulesets
        self._partition_of = partition_of
        self._intake = Intake(max_ahead_ms)
        self._account_of: dict[str, Callable[[SourceRecord, RulesetPlan], str]] = {
            ACCOUNTS: lambda record, plan: self._intake.credit_limit(record, plan).account_id,
            REPAYMENTS: lambda record, plan: self._intake.repayment(record, plan).account_id,
            SETTLEMENTS: lambda record, _: self._intake.settlement(record).account_id,
            DEGRADED_ANSWERS: lambda record, _: self._intake.degraded_answer(record).account_id,
        }
        # What is held back until the run ends: by partition of assessments, all under one ruleset.
        self._bundles: dict[int, list[SourceRecord]] = {}
        self._sizes_bytes: dict[int, int] = {}
        self._bundled_under: CompiledRuleset | None = None

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """A router has nothing to restore."""

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """A router's state never changes."""
        return []

    def apply(self, record: SourceRecord) -> Sequence[Output]:
        """One record onward, now or with the bundle, or a dead letter. Raises StateNotReadyError without a ruleset.

        A label that says nothing to the ruleset in force goes nowhere.
        """
        ruleset = self._rulesets.in_force()
        try:
            self._intake.verify_size(record.value)
            if self._topic == PURCHASES and not ruleset.plan.stations and record.key:
                return self._bundle(record.key, record, ruleset)
            if self._topic == LABELS:
                return self._label(record, ruleset)
            return [self._inquiry(record, ruleset) if self._topic == INQUIRIES else self._routed(record, ruleset)]
        except RefusedError as error:
            return with_refusals([dead_letter(record, self._topic, error.reason, error.detail)])

    def flush(self) -> Sequence[Output]:
        """The bundles."""
        if not self._bundles:
            return ()
        assert self._bundled_under is not None, "a bundle is begun under a ruleset"
        reference = reference_of(self._bundled_under)
        closed = [self._closed(records, reference) for records in self._bundles.values()]
        self._bundles.clear()
        self._sizes_bytes.clear()
        return closed

    def _bundle(self, key: bytes, record: SourceRecord, ruleset: CompiledRuleset) -> Sequence[Output]:
        partition, added_bytes = self._partition_of(key), len(record.value or b"")
        size_bytes = self._sizes_bytes.get(partition, 0) + added_bytes
        closed: Sequence[Output] = ()
        if ruleset is not self._bundled_under or size_bytes > MAX_BUNDLE_BYTES:
            closed, size_bytes = self.flush(), added_bytes
            self._bundled_under = ruleset
        bundle = self._bundles.get(partition)
        if bundle is None:
            self._bundles[partition] = [record]
        else:
            bundle.append(record)
        self._sizes_bytes[partition] = size_bytes
        return closed

    def _closed(self, records: Sequence[SourceRecord], reference: str) -> Output:
        first = records[0]
        origin = Origin(self._topic, first.partition, first.offset, first.timestamp)
        route = Route(BUNDLE, reference, origin, None, has_account_key=False)
        return Output(ASSESSMENTS, first.key, pack_bundle(records), with_route((), route))

    def _routed(self, record: SourceRecord, ruleset: CompiledRuleset) -> Output:
        plan = ruleset.plan
        stops: tuple[str, ...] = ()
        if self._topic == PURCHASES:
            purchase, _ = self._intake.purchase(record.value, record.timestamp, plan)
            account_id, stops = purchase.account_id, itinerary(plan, purchase)
        else:
            account_id = self._account_of[self._topic](record, plan)
        return onward(account_id, record.value, tuple(record.headers), self._route(record, ruleset, account_id, stops))

    def _inquiry(self, record: SourceRecord, ruleset: CompiledRuleset) -> Output:
        """To the desk of its account, or to that of the partition that it names."""
        inquiry = self._intake.inquiry(record)
        route = self._route(record, ruleset, inquiry.account_id or "", ())
        sent = onward(inquiry.account_id or "", record.value, tuple(record.headers), route)
        return sent if inquiry.account_id is not None else sent._replace(key=None, partition=inquiry.partition)

    def _label(self, record: SourceRecord, ruleset: CompiledRuleset) -> Sequence[Output]:
        plan, label = ruleset.plan, self._intake.label(record)
        purchase = label.purchase
        if purchase is None or not label.says_fraud or not (plan.fraud_desk or plan.fraud_stations):
            return ()
        self._intake.verify_money(purchase.amount, purchase.currency, plan)
        route = self._route(record, ruleset, label.account_id, label_itinerary(plan, purchase))
        return label_onward(plan, label.account_id, record.value, tuple(record.headers), route)

    def _route(self, record: SourceRecord, ruleset: CompiledRuleset, account_id: str, stops: tuple[str, ...]) -> Route:
        has_account_key = record.key == account_id.encode()
        return Route(
            KINDS[self._topic],
            reference_of(ruleset),
            Origin(self._topic, record.partition, record.offset, record.timestamp),
            None if has_account_key else record.key,
            has_account_key,
            stops,
        )
