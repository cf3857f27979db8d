"""Rulesets are published, replaced and rolled back while purchases flow, and no worker is restarted for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from models.decision import decode_decision
from models.purchase import decode_purchase
from rules.language.diagnostics import RulesetError
from rules.route import PURCHASE, read_route
from streams.rulesets import RulesetsError, read_registry, rollback
from streams.topics import ASSESSMENTS, DECISIONS, RULESETS
from tests.integration.cluster import PROJECT
from tests.integration.line import Line, until
from tests.integration.shopping import Sent, purchases_in, shopping

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

SEED = 41
FIRST = """
ruleset: checkout
rates: {USD: 7.1}
rules:
  - {id: first, when: "amount > 0 and count(account_id, 1h) > 0", then: flag}
  - {id: device, when: "count(device_id, 10m) > 50", then: block}
"""
SECOND = FIRST.replace("id: first", "id: second")
# A worker takes a ruleset up within this time, or the test says that it did not.
TAKEN_UP_S = 20.0


def in_force(version: str) -> str:
    """What a worker's log says when it takes a version up."""
    return f'"ruleset": "checkout@{version}", "event": "ruleset in force"'


def stream(purchases: int) -> list[Sent]:
    return shopping(SEED, purchases, accounts=100, ends_ms=int(time.time() * 1000))


async def versions_in_order(line: Line) -> dict[int, list[tuple[int, str, str]]]:
    """By partition of purchases: the offset of each, its transaction and the version that its route was given."""
    found: dict[int, dict[int, tuple[int, str, str]]] = {}
    for record in await line.read(ASSESSMENTS):
        route, _ = read_route(record)
        if route.kind != PURCHASE:
            continue
        transaction = decode_purchase(record.value).transaction_id
        entry = (route.origin.offset, transaction, route.ruleset.partition("@")[2])
        found.setdefault(route.origin.partition, {})[route.origin.offset] = entry
    return {partition: [by_offset[o] for o in sorted(by_offset)] for partition, by_offset in found.items()}


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_purchases_wait_for_the_first_ruleset_and_are_decided_then(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "first")
    await line.create_topics()
    sent = stream(100)
    with line.workers(tmp_path) as workers:
        workers.start()
        await line.send(sent)
        await until(lambda: "no ruleset 'checkout' is in force yet" in workers.log_text(), "the worker to wait", 30)
        await asyncio.sleep(1)
        assert not await line.read(DECISIONS)
        version = await line.publish(FIRST)
        await line.finish(workers, 30)
        assert workers.stop() == [0]
    decisions = [decode_decision(record.value) for record in await line.read(DECISIONS)]
    assert sorted(d.transaction_id for d in decisions) == sorted(p.transaction_id for p in purchases_in(sent))
    assert {d.ruleset_version for d in decisions} == {version}


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_a_new_version_and_a_rollback_are_taken_up_while_purchases_flow(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "versions")
    await line.create_topics()
    first = await line.publish(FIRST)
    sent = [one for one in stream(3_000) if one.topic == "purchases"]
    parts = [sent[:800], sent[800:1_600], sent[1_600:2_200], sent[2_200:]]
    with line.workers(tmp_path) as workers:
        workers.start(2)
        await line.send(parts[0], per_s=400)
        await line.finish(workers, 60)
        second, _ = await asyncio.gather(line.publish(SECOND), line.send(parts[1], per_s=400))
        with pytest.raises(RulesetError):
            await line.publish(FIRST.replace("count(", "cuont("))
        await until(lambda: 0 not in workers.mentions(in_force(second)), "both workers to take it up", TAKEN_UP_S)
        await line.send(parts[2], per_s=400)
        await line.finish(workers, 60)
        assert await rollback(line.settings, "a test") == first
        await until(lambda: min(workers.mentions(in_force(first))) == 2, "both workers to go back", TAKEN_UP_S)
        await line.send(parts[3], per_s=400)
        await line.finish(workers, 60)
        assert workers.started == 2, "nobody was restarted"
        assert workers.stop() == [0, 0]
    given = await versions_in_order(line)
    version_of = {transaction: version for entries in given.values() for _, transaction, version in entries}
    for entries in given.values():
        runs = [version for version, _ in groupby(version for _, _, version in entries)]
        assert runs == [first, second, first]
    for part, version in ((parts[0], first), (parts[2], second), (parts[3], first)):
        assert {version_of[p.transaction_id] for p in purchases_in(part)} == {version}
    assert {version_of[p.transaction_id] for p in purchases_in(parts[1])} <= {first, second}
    decisions = [decode_decision(record.value) for record in await line.read(DECISIONS)]
    assert len(decisions) == len(sent)
    for decision in decisions:
        assert decision.ruleset_version == version_of[decision.transaction_id]
        said = {reason.rule for reason in decision.reasons} & {"first", "second"}
        assert said == {"first" if decision.ruleset_version == first else "second"}


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_a_ruleset_that_is_wrong_is_not_published_and_garbage_is_passed_over(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "wrong")
    await line.create_topics()
    version = await line.publish(FIRST)
    before = len(await line.read(RULESETS))
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(FIRST.replace("count(account_id", "count(acount_id"))
    env = {
        "PATH": "/usr/bin:/bin",
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "STOPBANK_TOPIC_PREFIX": line.settings.topic_prefix,
        "PYTHONPATH": str(PROJECT),
    }
    command = [sys.executable, "-m", "streams.cli", "rules", "publish", str(wrong)]
    told = await asyncio.to_thread(
        subprocess.run, command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 2
    assert "did you mean" in told.stderr
    assert "account_id" in told.stderr
    with pytest.raises(RulesetsError, match="was never published"):
        await rollback(line.settings, "a test", "0123456789abcdef")
    with pytest.raises(RulesetsError, match="the currency changes"):
        await line.publish(FIRST.replace("ruleset: checkout", "ruleset: checkout\ncurrency: EUR"))
    assert len(await line.read(RULESETS)) == before

    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for key, value in ((b"checkout", b"{"), (b"checkout@x", b"{}"), (b"checkout@y", None), (b"\xff", b"x")):
        await producer.send_and_wait(line.topic(RULESETS), value, key=key)
    source = b'{"source":"ruleset: checkout\\nrules: 7"}'
    await producer.send_and_wait(line.topic(RULESETS), source, key=b"checkout@z")
    await producer.send_and_wait(line.topic(RULESETS), b'{"version":"z","history":[]}', key=b"checkout")
    await producer.stop()
    registry = await read_registry(line.settings)
    assert registry.in_force().version == version
    sent = stream(50)
    with line.workers(tmp_path) as workers:
        workers.start()
        await line.send(sent)
        await line.finish(workers, 30)
        assert workers.stop() == [0]
    assert {decode_decision(r.value).ruleset_version for r in await line.read(DECISIONS)} == {version}
