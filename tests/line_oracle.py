"""An oracle of the whole line: plain lists and dicts in one process, each entity's purchases in order of time.

It knows no partitions, no window logs, no merging, no forgetting and no state records: each purchase is put
to it at each entity in the order in which it arrived there. What a feature is and when it clears comes from
`tests.oracle`, which is handed no more than the purchases that the window can hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zoneinfo import ZoneInfo

from models.account import CreditLimit, Repayment
from models.decision import Action, Decision, Reason
from models.label import Label
from models.money import convert_minor
from models.purchase import Purchase
from models.settlement import Settlement, SettlementResult
from rules.language.compile import CompiledRuleset
from rules.language.explain import Explainer
from rules.language.facts import Facts
from rules.language.interpreter import truth
from rules.plan import Clearing, EntityPlan, Feature
from tests.entity_oracle import Entity
from tests.oracle import APPROVED, DECLINED, Seen, clears_at, value_of
from tests.settlement_oracle import SettlementOracle


class Measured(NamedTuple):
    """A feature's value, and for each of its clearings when it ends to hold (None: it does not, or never)."""

    value: int | None
    clears: tuple[int | None, ...] = ()


UNKNOWN = Measured(None)
# By entity: what was measured there, in the order of the plan's features.
Stamps = Mapping[tuple[str, ...], Sequence[Measured]]


@dataclass
class Account:
    """An account's credit and its newest purchase."""

    limit_minor: int | None = None
    limit_time_ms: int = 0
    used_minor: int = 0
    repayments: set[str] = field(default_factory=set[str])
    latest_ms: int | None = None


class LineOracle:
    """What every station and the desk should say, under one ruleset that does not ask for `anomaly`."""

    def __init__(self, ruleset: CompiledRuleset) -> None:
        if ruleset.plan.uses_anomaly:
            raise ValueError("the oracle knows no anomaly score")
        self.ruleset = ruleset
        self._plan = ruleset.plan
        self._zone = ZoneInfo(ruleset.plan.time_zone)
        self._slots = {feature.name: slot for slot, feature in enumerate(ruleset.plan.features)}
        self._entities: defaultdict[tuple[tuple[str, ...], tuple[str, ...]], Entity] = defaultdict(Entity)
        self._accounts: defaultdict[str, Account] = defaultdict(Account)
        # Transactions that came to a station later than is allowed.
        self._late: set[str] = set()
        # Where labels have told of which transactions.
        self._told: set[tuple[tuple[str, ...], str]] = set()
        # By the partition of the desk.
        self._settled: defaultdict[object, SettlementOracle] = defaultdict(self._settlements)

    def _settlements(self) -> SettlementOracle:
        plan = self._plan
        return SettlementOracle(self._converted, plan.currency, plan.expire_after_ms, self._use, self._move)

    @property
    def results(self) -> list[SettlementResult]:
        """What became of all settlements, and of what nobody settled."""
        return [result for settled in self._settled.values() for result in settled.results]

    # -- stations -----------------------------------------------------------------------------------

    def stops(self, purchase: Purchase) -> list[tuple[str, ...]]:
        """The entities beside the account that this purchase has, in the order in which it visits them."""
        return [plan.entity for plan in self._plan.stations if _values(plan.entity, purchase) is not None]

    def sight(self, entity: tuple[str, ...], purchase: Purchase) -> list[Measured]:
        """A purchase arrives at an entity's station for the first time: what it is stamped with."""
        plan = next(plan for plan in self._plan.stations if plan.entity == entity)
        measured = self._measure(plan, purchase)
        values = _values(entity, purchase)
        times = self._entities[entity, values].by_outcome[APPROVED].times if values is not None else []
        if times and purchase.event_time < times[-1] - self._plan.allowed_lateness_ms:
            self._late.add(purchase.transaction_id)
        self._enter(plan, purchase, APPROVED)
        return measured

    # -- both --------------------------------------------------------------------------------------

    def label(self, label: Label, plans: Sequence[EntityPlan] | None = None) -> None:
        """A verdict arrives at these entities, or at all; what was told there of a purchase stays as it was told."""
        purchase = label.purchase
        if purchase is None or label.verdict == "genuine":
            return
        for plan in (*self._plan.desk, *self._plan.stations) if plans is None else plans:
            values = _values(plan.entity, purchase)
            if values is not None and (plan.entity, purchase.transaction_id) not in self._told:
                self._told.add((plan.entity, purchase.transaction_id))
                self._entities[plan.entity, values].fraud.add(Seen(purchase, self._amount(purchase)))

    # -- the desk -----------------------------------------------------------------------------------

    def credit_limit(self, limit: CreditLimit) -> None:
        """An account is given a limit; what is older than what it has changes nothing."""
        account = self._accounts[limit.account_id]
        if account.limit_minor is None or limit.event_time >= account.limit_time_ms:
            account.limit_minor = self._converted(limit.credit_limit, limit.currency)
            account.limit_time_ms = limit.event_time

    def repayment(self, repayment: Repayment) -> None:
        """Money comes back, once."""
        account = self._accounts[repayment.account_id]
        if repayment.repayment_id not in account.repayments:
            account.repayments.add(repayment.repayment_id)
            account.used_minor -= self._converted(repayment.amount, repayment.currency)

    def settlement(self, settlement: Settlement, partition: object = None) -> None:
        """A settlement arrives at its desk."""
        self._settled[partition].settle(settlement)

    def answer(self, answer: Decision, partition: object = None) -> None:
        """A gateway has answered by itself."""
        if answer.action != Action.BLOCK:
            self._settled[partition].tell(answer.account_id, answer.transaction_id)

    def decide(self, purchase: Purchase, stamps: Stamps, partition: object = None) -> Decision:
        """A purchase arrives at the desk for the first time."""
        settled = self._settled[partition]
        settled.pass_time(purchase.event_time)
        account = self._accounts[purchase.account_id]
        measured = [value for plan in self._plan.desk for value in self._measure(plan, purchase)]
        for plan in self._plan.stations:
            measured += stamps.get(plan.entity) or [UNKNOWN] * len(plan.features)
        decision = self._judged(purchase, account, measured)
        outcome = DECLINED if decision.action == Action.BLOCK else APPROVED
        for plan in self._plan.desk:
            self._enter(plan, purchase, outcome)
        if outcome == APPROVED:
            account.used_minor += self._amount(purchase)
        account.latest_ms = max(account.latest_ms or 0, purchase.event_time)
        settled.decided(purchase, self._amount(purchase), approved=outcome == APPROVED)
        return decision

    def _use(self, account_id: str, amount_minor: int) -> None:
        self._accounts[account_id].used_minor += amount_minor

    def _move(self, purchase: Purchase, outcome: str) -> None:
        for plan in self._plan.desk:
            values = _values(plan.entity, purchase)
            if values is not None:
                self._entities[plan.entity, values].move(purchase, outcome)

    def _judged(self, purchase: Purchase, account: Account, measured: Sequence[Measured]) -> Decision:
        limit = account.limit_minor
        facts = Facts(
            purchase,
            self._amount(purchase),
            [m.value for m in measured],
            [m.clears for m in measured],
            None,
            None if limit is None else limit - account.used_minor,
            limit,
            self.ruleset.clock,
        )
        live, shadow = list[Reason](), list[Reason]()
        final = False
        for rule, condition in zip(self.ruleset.document.rules, self.ruleset.conditions, strict=True):
            if truth(condition, facts, self._slots) is not True:
                continue
            says = Action.APPROVE if rule.then == "allow" else Action(rule.then)
            reason = Reason(rule.id, rule.code, says, *Explainer(condition, self._plan).why(facts))
            (shadow if rule.mode == "shadow" else live).append(reason)
            final = final or (rule.final and rule.mode == "live")
        latest_ms = account.latest_ms
        return Decision(
            transaction_id=purchase.transaction_id,
            account_id=purchase.account_id,
            action=_action({reason.action for reason in live}, final=final),
            reasons=live,
            shadow=shadow,
            anomaly=None,
            contributions=[],
            features={f.name: m.value for f, m in zip(self._plan.features, measured, strict=True)},
            ruleset=self.ruleset.id,
            ruleset_version=self.ruleset.version,
            amount=purchase.amount,
            currency=purchase.currency,
            event_time=purchase.event_time,
            late=purchase.transaction_id in self._late
            or (latest_ms is not None and purchase.event_time < latest_ms - self._plan.allowed_lateness_ms),
            degraded=[],
        )

    # -- what both do -------------------------------------------------------------------------------

    def _measure(self, plan: EntityPlan, purchase: Purchase) -> list[Measured]:
        values = _values(plan.entity, purchase)
        if values is None:
            return [UNKNOWN] * len(plan.features)
        entity = self._entities[plan.entity, values]
        return [self._measured(feature, entity, purchase, plan.horizon_ms) for feature in plan.features]

    def _measured(self, feature: Feature, entity: Entity, purchase: Purchase, horizon_ms: int) -> Measured:
        amount, time_ms = self._amount(purchase), purchase.event_time
        history = entity.history_of(feature, time_ms)
        value = value_of(feature, history, purchase, amount, self._zone, horizon_ms)
        if value is None:
            return UNKNOWN
        clears: list[int | None] = []
        for clearing in feature.clearings:
            if _holds(value, clearing):
                history = entity.history_of(feature, time_ms, clearing=True)
                clears.append(clears_at(feature, clearing, history, purchase, amount, self._zone, halving=True))
            else:
                clears.append(None)
        return Measured(value, tuple(clears))

    def _enter(self, plan: EntityPlan, purchase: Purchase, outcome: str) -> None:
        values = _values(plan.entity, purchase)
        if values is not None:
            self._entities[plan.entity, values].enter(Seen(purchase, self._amount(purchase), outcome))

    def _amount(self, purchase: Purchase) -> int:
        return self._converted(purchase.amount, purchase.currency)

    def _converted(self, amount_minor: int, currency: str) -> int:
        return convert_minor(amount_minor, currency, self._plan.currency, self._plan.rates)


def _values(entity: tuple[str, ...], purchase: Purchase) -> tuple[str, ...] | None:
    values = [getattr(purchase, name) for name in entity]
    return None if None in values else tuple(values)


def _holds(value: int, clearing: Clearing) -> bool:
    return value > clearing.threshold or (clearing.op == ">=" and value == clearing.threshold)


def _action(said: set[str], *, final: bool) -> Action:
    if final or (Action.BLOCK in said and Action.APPROVE not in said):
        return Action.BLOCK
    return Action.FLAG if said == {Action.FLAG} else Action.APPROVE


def in_event_order(
    oracle: LineOracle,
    events: Sequence[Purchase | CreditLimit | Repayment | Label | Settlement | Decision],
    partition_of: Callable[[str], object] = lambda _: None,
) -> Iterator[tuple[Purchase, Decision]]:
    """The decisions if everything arrived everywhere in the order given; desks are told apart by their accounts."""
    for event in events:
        if isinstance(event, CreditLimit):
            oracle.credit_limit(event)
        elif isinstance(event, Repayment):
            oracle.repayment(event)
        elif isinstance(event, Label):
            oracle.label(event)
        elif isinstance(event, Settlement):
            oracle.settlement(event, partition_of(event.account_id))
        elif isinstance(event, Decision):
            oracle.answer(event, partition_of(event.account_id))
        else:
            stamps = {entity: oracle.sight(entity, event) for entity in oracle.stops(event)}
            yield event, oracle.decide(event, stamps, partition_of(event.account_id))
