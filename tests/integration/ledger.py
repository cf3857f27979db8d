"""What a run left on the topics, held against the oracle that is told who arrived where in which order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from models.account import CreditLimit, decode_credit_limit, decode_repayment
from models.decision import Action, Decision, decode_decision
from models.label import Label, decode_label
from models.purchase import Purchase, decode_purchase
from models.reconciliation import Reconciliation, decode_reconciliation
from models.settlement import Settlement, decode_settlement, encode_settlement_result
from rules.bundle import unpack_bundle
from rules.desk_outputs import RECEIVED_HEADER
from rules.entity import entity_of
from rules.language.compile import CompiledRuleset
from rules.route import (
    BUNDLE,
    CREDIT_LIMIT,
    DEGRADED,
    INQUIRY,
    LABEL,
    PURCHASE,
    REPAYMENT,
    SETTLEMENT,
    Route,
    read_route,
)
from streams.topics import ASSESSMENTS, BLOCKED, DECISIONS, FLAGGED, SETTLEMENT_RESULTS, SIGHTINGS
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
    """All arrivals, every decision as it was announced, `took_ms` after its purchase came in, and what was settled."""

    sightings: list[Arrival]
    assessments: list[Arrival]
    decisions: dict[str, bytes]
    repeats: int
    by_topic: dict[str, set[str]]
    took_ms: list[int]
    settled: set[bytes]

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
    settled = {record.value for record in await line.read(SETTLEMENT_RESULTS)}
    return Ledger(sightings, assessments, decisions, len(took_ms) - len(decisions), by_topic, took_ms, settled)


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
    if route.kind == SETTLEMENT:
        return [decode_settlement(record.value)]
    if route.kind == DEGRADED:
        return [decode_decision(record.value)]
    if route.kind == INQUIRY:
        return []
    assert route.kind == BUNDLE
    bundled = [(key, decode_purchase(value or b"")) for _, _, key, value, _ in unpack_bundle(record.value)]
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
            expected[event.transaction_id] = oracle.decide(event, visited, arrival.partition)
        elif isinstance(event, CreditLimit):
            oracle.credit_limit(event)
        elif isinstance(event, Label):
            oracle.label(event, ruleset.plan.desk)
        elif isinstance(event, Settlement):
            oracle.settlement(event, arrival.partition)
        elif isinstance(event, Decision):
            oracle.answer(event, arrival.partition)
        else:
            oracle.repayment(event)
    settled = {encode_settlement_result(result) for result in oracle.results}
    assert ledger.settled - settled == set(), "settlements came to something else"
    assert settled - ledger.settled == set(), "settlements without a result"
    return expected


def _same_stamps(arrival: Arrival, stamps: Mapping[str, MeasuredThere]) -> None:
    if isinstance(arrival.event, Label):
        assert not arrival.stamps
        return
    assert isinstance(arrival.event, Purchase)
    for entity, values in arrival.stamps.items():
        wanted = list(map(_briefly, stamps[arrival.event.transaction_id][entity]))
        assert list(map(_briefly, values)) == wanted, f"{entity} stamped {values}, the oracle says {wanted}: {arrival}"


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


class Message(Protocol):
    """A record on a topic, read from Kafka or kept in memory."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


def hold_reconciliations(
    degraded: Iterable[Message], decisions: Iterable[Message], reconciliations: Iterable[Message]
) -> int:
    """Each distinct degraded answer to what was decided is reconciled with the decision, and nothing else is.

    The arguments are the records of the topics of these names. Returns how many reconciliations were written more
    than once, the same bytes again, as after a crash; where nothing crashed there are none.
    """
    decided: dict[tuple[str, str], Decision] = {}
    for record in decisions:
        decision = decode_decision(record.value or b"")
        decided.setdefault((decision.account_id, decision.transaction_id), decision)
    answers: defaultdict[tuple[str, str], dict[bytes, Decision]] = defaultdict(dict)
    for record in degraded:
        answer = decode_decision(record.value or b"")
        assert answer.degraded, f"a full decision among the degraded answers: {answer}"
        answers[answer.account_id, answer.transaction_id][record.value or b""] = answer
    expected = Counter(
        _reconciled(answer, decided[of])
        for of, distinct in answers.items()
        if of in decided
        for answer in distinct.values()
    )
    written: Counter[str] = Counter()
    for record in reconciliations:
        reconciliation = decode_reconciliation(record.value or b"")
        assert record.key == reconciliation.account_id.encode()
        written[reconciliation.model_dump_json()] += 1
    missing, unasked = expected - written, [text for text in written if text not in expected]
    assert not missing, f"{missing.total()} of {expected.total()} answers are not reconciled, like {min(missing)}"
    assert not unasked, f"{len(unasked)} reconciliations are of no answer and its decision, like {min(unasked)}"
    return (written - expected).total()


def _reconciled(answer: Decision, decision: Decision) -> str:
    return Reconciliation(
        transaction_id=decision.transaction_id,
        account_id=decision.account_id,
        answered=answer.action,
        decided=decision.action,
        differs=str(answer.action) != str(decision.action),
        degraded=answer.degraded,
        ruleset=decision.ruleset,
        answered_version=answer.ruleset_version,
        decided_version=decision.ruleset_version,
        amount=decision.amount,
        currency=decision.currency,
        event_time=decision.event_time,
    ).model_dump_json()


def _briefly(measured: Measured) -> Measured:
    """A stamp leaves out when comparisons end to hold where none of them does, or none ever ends."""
    return measured if any(at_ms is not None for at_ms in measured.clears) else Measured(measured.value, ())
