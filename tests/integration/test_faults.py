"""A broker that is away, at the start or in the middle, and topics that are missing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from streams.broker.kafka import KafkaBroker
from streams.process import EXIT_CONFIG
from streams.topics import ASSESSMENTS, DECISIONS, PURCHASES, RULESETS, SIGHTINGS_STATE
from tests.integration.conftest import Tell
from tests.integration.ledger import hold, read_ledger
from tests.integration.line import Line, until
from tests.integration.shopping import RULES, purchases_in, ruleset, shopping

SEED = 31
AWAY_S = 30


@pytest.mark.needs_kafka
@pytest.mark.timeout(180)
async def test_a_worker_waits_for_a_broker_that_is_away_and_works_when_it_comes(
    own_broker: KafkaBroker, tmp_path: Path
) -> None:
    line = Line(own_broker.bootstrap_servers, "away")
    await line.set_up(RULES)
    sent = shopping(SEED, 200, accounts=40, ends_ms=int(time.time() * 1000))
    await line.send(sent)
    await asyncio.to_thread(own_broker.stop)
    with line.workers(tmp_path) as workers:
        workers.start()
        try:
            await until(lambda: "no broker answers" in workers.log_text(), "the worker to say so", 30)
        finally:
            await asyncio.to_thread(own_broker.start)
        await line.finish(workers, 60)
        assert workers.stop() == [0]
    hold(await read_ledger(line), ruleset(), purchases_in(sent))


@pytest.mark.needs_kafka
@pytest.mark.timeout(300)
async def test_nothing_is_lost_and_nothing_counts_twice_while_the_broker_is_away(
    own_broker: KafkaBroker, tmp_path: Path, tell: Tell
) -> None:
    line = Line(own_broker.bootstrap_servers, "outage")
    await line.set_up(RULES)
    sent = shopping(SEED, 4_000, accounts=400, ends_ms=int(time.time() * 1000))
    with line.workers(tmp_path) as workers:
        workers.start(2)
        await line.send(sent[:1_500], per_s=500)
        # Work is in flight: the last of these were acknowledged a moment ago.
        await line.send(sent[1_500:2_500])
        await asyncio.to_thread(own_broker.stop)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(own_broker.start)
        codes = await line.finish(workers, 120, supervised=True)
        await line.send(sent[2_500:])
        codes += await line.finish(workers, 60, supervised=True)
        workers.stop()
    ledger = await read_ledger(line)
    tell(f"seed {SEED}: {AWAY_S} s away; workers ended with {codes}; {ledger.repeats} decisions announced again")
    hold(ledger, ruleset(), purchases_in(sent))


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
@pytest.mark.parametrize("missing", [PURCHASES, DECISIONS, ASSESSMENTS, SIGHTINGS_STATE, RULESETS])
async def test_a_worker_without_one_of_its_topics_ends_and_names_it(kafka: str, tmp_path: Path, missing: str) -> None:
    line = Line(kafka, "missing")
    await line.set_up(RULES)
    await line.delete_topic(missing)
    with line.workers(tmp_path) as workers:
        workers.start()
        worker = workers.alive[0]
        await until(lambda: worker.poll() is not None, f"the end of a worker without {missing}", 40)
        assert worker.returncode == EXIT_CONFIG
        log = workers.log_text()
        assert f"no topic {line.topic(missing)}" in log, log
        assert "stopbank topics create" in log
