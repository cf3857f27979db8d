"""What a run left on the topics, held against the oracle that is told who arrived where in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from models.account import CreditLimit, decode_credit_limit, decode_repayment
from models.decision import Action, Decision, decode_decision
from models.label import Label, decode_label
from models.purchase import Purchase, decode_purchase
from rules.bundle import unpack_bundle
from rules.desk import RECEIVED_HEADER
from rules.entity import entity_of
from rules.language.compile import CompiledRuleset
from rules.route import BUNDLE, CREDIT_LIMIT, LABEL, PURCHASE, REPAYMENT, Route, read_route
from streams.topics import ASSESSMENTS, BLOCKED, DECISIONS, FLAGGED, SIGHTINGS
from tests.integration.line import Line
from tests.integration.shopping import Event
from tests.line_oracle import LineOracle, Measured

Entity = tuple[str, ...]
MeasuredThere = Mapping[Entity, Sequence[Measured]]


class Arrival(NamedTuple):
    """The first arrival of a record at an entity, or (entity None) at the desk; `stamps` it came with."""

    entity: Entity | None
    event: Event
    stamps: MeasuredThere
    partition: int
    offset: int


@dataclass
class Ledger:
    """All arrivals, and every decision as it was announced, `took_ms` after its purchase came in."""

    sightings: list[Arrival]
    assessments: list[Arrival]
    decisions: dict[str, bytes]
    repeats: int
    by_topic: dict[str, set[str]]
    took_ms: list[int]

    def decided(self) -> dict[str, Decision]:
        return {transaction: decode_decision(text) for transaction, text in self.decisions.items()}


async def read_ledger(line: Line) -> Ledger:
    """Read the topics. A repeat on an internal topic is no arrival; one on `decisions` must be the same bytes."""
    sightings = list(_arrivals(await line.read(SIGHTINGS), at_desk=False))
    assessments = list(_arrivals(await line.read(ASSESSMENTS), at_desk=True))
    decisions: dict[str, bytes] = {}
    by_topic: dict[str, set[str]] = {}
    took_ms: list[int] = []
    for topic in (DECISIONS, BLOCKED, FLAGGED):
        by_topic[topic] = set()
        for record in await line.read(topic):
            decision = decode_decision(record.value)
            if topic == DECISIONS:
                took_ms.append(record.timestamp - int(dict(record.headers)[RECEIVED_HEADER]))
            assert record.key == decision.account_id.encode()
            first = decisions.setdefault(decision.transaction_id, record.value)
            assert first == record.value, f"two answers to {decision.transaction_id}: {first!r} and {record.value!r}"
            by_topic[topic].add(decision.transaction_id)
    return Ledger(sightings, assessments, decisions, len(took_ms) - len(decisions), by_topic, took_ms)


def _arrivals(records: Iterable[Any], *, at_desk: bool) -> Iterable[Arrival]:
    known: set[tuple[Entity | None, str]] = set()
    for record in records:
        route, _ = read_route(record)
        entity = None if at_desk else entity_of(record.key.decode())
        stamps = {tuple(of.split(",")): [Measured(v, tuple(c)) for v, c in values] for of, values in route.stamps}
        for event in _events(route, record):
            if isinstance(event, Purchase):
                if (entity, event.transaction_id) in known:
                    continue
                known.add((entity, event.transaction_id))
            yield Arrival(entity, event, stamps, record.partition, record.offset)


def _events(route: Route, record: Any) -> list[Event]:
    """What a record brings. A purchase under another key than its account's is only passing."""
    if route.kind == CREDIT_LIMIT:
        return [decode_credit_limit(record.value)]
    if route.kind == REPAYMENT:
        return [decode_repayment(record.value)]
    if route.kind == PURCHASE:
        return [decode_purchase(record.value)]
    if route.kind == LABEL:
        return [decode_label(record.value)]
    assert route.kind == BUNDLE
    bundled = [(each.key, decode_purchase(each.value or b"")) for each in unpack_bundle(record.value)]
    return [purchase for key, purchase in bundled if key == purchase.account_id.encode()]


def expect(ledger: Ledger, ruleset: CompiledRuleset) -> dict[str, Decision]:
    """The oracle's decisions for these arrivals; every stamp on the way is held against it."""
    oracle = LineOracle(ruleset)
    stamps: dict[str, dict[Entity, list[Measured]]] = {}
    for arrival in ledger.sightings:
        if isinstance(arrival.event, Label):
            oracle.label(arrival.event, [plan for plan in ruleset.plan.stations if plan.entity == arrival.entity])
            continue
        assert isinstance(arrival.event, Purchase)
        assert arrival.entity is not None
        of_purchase = stamps.setdefault(arrival.event.transaction_id, {})
        of_purchase[arrival.entity] = oracle.sight(arrival.entity, arrival.event)
    for arrival in ledger.sightings:
        _same_stamps(arrival, stamps)
    expected: dict[str, Decision] = {}
    for arrival in ledger.assessments:
        event = arrival.event
        if isinstance(event, Purchase):
            visited = stamps.get(event.transaction_id, {})
            assert set(visited) == set(oracle.stops(event)), f"another way than the rules ask for: {arrival}"
            assert set(arrival.stamps) == set(visited), f"a stamp is missing: {arrival}"
            _same_stamps(arrival, stamps)
            expected[event.transaction_id] = oracle.decide(event, visited)
        elif isinstance(event, CreditLimit):
            oracle.credit_limit(event)
        elif isinstance(event, Label):
            oracle.label(event, ruleset.plan.desk)
        else:
            oracle.repayment(event)
    return expected


def _same_stamps(arrival: Arrival, stamps: Mapping[str, MeasuredThere]) -> None:
    if isinstance(arrival.event, Label):
        assert not arrival.stamps
        return
    assert isinstance(arrival.event, Purchase)
    for entity, values in arrival.stamps.items():
        wanted = stamps[arrival.event.transaction_id][entity]
        assert list(values) == list(wanted), f"{entity} stamped {values}, the oracle says {wanted}: {arrival}"


def hold(ledger: Ledger, ruleset: CompiledRuleset, sent: Sequence[Purchase]) -> None:
    """Every purchase sent has one decision, the oracle's, on the topics that it belongs to."""
    wanted = {purchase.transaction_id for purchase in sent}
    assert wanted - set(ledger.decisions) == set(), "purchases without a decision"
    assert set(ledger.decisions) - wanted == set(), "decisions on what was never sent"
    decided, expected = ledger.decided(), expect(ledger, ruleset)
    wrong = [transaction for transaction in sorted(wanted) if decided[transaction] != expected[transaction]]
    assert not wrong, (
        f"{len(wrong)} of {len(wanted)} decisions differ, the first:\n{decided[wrong[0]]}\n{expected[wrong[0]]}"
    )
    for topic, action in ((BLOCKED, Action.BLOCK), (FLAGGED, Action.FLAG)):
        assert ledger.by_topic[topic] == {t for t, d in decided.items() if d.action == action}
    assert ledger.by_topic[DECISIONS] == wanted
