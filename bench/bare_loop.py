"""The baselines: the same job in a bare aiokafka loop, started by `bench.pipeline`.

`same-step` has the same windows and rules on a plain dict: `getmany`, Stopbank's own decoder, window logs, compiled
rules and decision text, one `send` a decision. `least` is the least code that gives such answers: no validation, no
late or out-of-order purchases, the rules written out by hand (bench/least.py). Both keep nothing durable, run in
one process only, and don't look whether a purchase comes twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench import least
from models.decision import Action, Decision, encode_decision
from models.purchase import read_purchase_fields
from rules.calendar import period_clock
from rules.decider import decision_of
from rules.entity import entity_key, transaction_hash, value_hash
from rules.language.compile import CompiledRuleset, Verdict, compile_ruleset
from rules.language.facts import Facts
from rules.plan import EntityPlan
from rules.step import amount_in
from rules.velocity import Subject, values_of
from rules.windows import WindowLog

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

RULES: Final = Path(__file__).resolve().parents[1] / "examples" / "rules"

Decide = Callable[[bytes], bytes]


class EntityLogs(NamedTuple):
    """What an entity has bought."""

    approved: WindowLog
    declined: WindowLog
    fraud: None = None
    released: None = None


def same_step(rule_file: str) -> Decide:
    """Decide by a rule file, with every entity's logs in one dict."""
    ruleset = compile_ruleset((RULES / rule_file).read_text(), rule_file)
    plan, logs = ruleset.plan, dict[str, EntityLogs]()
    clock = period_clock(plan.time_zone)
    entities = [(entity, values_of(entity), _asks_outcome(entity)) for entity in (*plan.desk, *plan.stations)]

    def decide(raw: bytes) -> bytes:
        purchase = read_purchase_fields(raw)
        subject = Subject(purchase, amount_in(plan, purchase), transaction_hash(purchase.transaction_id))
        values: list[int | None] = []
        visited: list[tuple[EntityLogs, bool]] = []
        for entity, measure, asks_outcome in entities:
            key = entity_key(entity.entity, purchase)
            if key is None:
                values += [None] * len(entity.features)
                continue
            of_entity = logs.get(key)
            if of_entity is None:
                of_entity = logs[key] = _new_logs(entity)
            values += measure(of_entity, subject, clock)
            visited.append((of_entity, asks_outcome))
        decision = _judged(ruleset, subject, values)
        for of_entity, asks_outcome in visited:
            _enter(of_entity, subject, declined=asks_outcome and decision.action == Action.BLOCK)
        return encode_decision(decision)

    return decide


def _asks_outcome(entity: EntityPlan) -> bool:
    return any(feature.outcome is not None for feature in entity.features)


def _new_logs(entity: EntityPlan) -> EntityLogs:
    logs = EntityLogs(WindowLog(), WindowLog())
    for log in (logs.approved, logs.declined):
        for field in entity.distinct_fields:
            log.add_column(field)
    return logs


def _judged(ruleset: CompiledRuleset, subject: Subject, values: list[int | None]) -> Decision:
    purchase, plan = subject.purchase, ruleset.plan
    hits = ruleset.hits(purchase, subject.amount_minor, values, None, None, None)
    verdict = Verdict(Action.APPROVE, False, [], [])
    if hits:
        never = [(None,) * len(feature.clearings) for feature in plan.features]
        facts = Facts(purchase, subject.amount_minor, values, never, None, None, None, ruleset.clock)
        verdict = ruleset.verdict(hits, facts)
    return decision_of(ruleset, purchase, values, verdict)


def _enter(logs: EntityLogs, subject: Subject, *, declined: bool) -> None:
    log = logs.declined if declined else logs.approved
    values = [value_hash(subject.purchase, field) for field in log.columns]
    log.insert(subject.purchase.event_time, subject.amount_minor, subject.transaction, values)


DECIDERS: Final[dict[str, Callable[[str], Decide]]] = {"same-step": same_step, "least": least.decider}


async def run(bootstrap_servers: str, purchases: str, decisions: str, rule_file: str, decider: str) -> None:
    """Read, decide, send, until the process is ended."""
    decide = DECIDERS[decider](rule_file)
    consumer = AIOKafkaConsumer(
        purchases, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")
    await producer.start()
    await consumer.start()
    while True:
        for records in (await consumer.getmany(timeout_ms=500, max_records=500)).values():
            for record in records:
                await producer.send(decisions, decide(record.value or b""), key=record.key)


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:6]))
