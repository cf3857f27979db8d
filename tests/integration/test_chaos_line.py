"""The whole line under chaos: workers are killed, terminated and joined, and every count stays right."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.integration.cluster import Chaos, committed_offsets
from tests.integration.conftest import Tell
from tests.integration.ledger import hold, read_ledger
from tests.integration.line import SOURCES, Line
from tests.integration.shopping import ACCOUNT_RULES, EXPIRY, LABEL_RULES, purchases_in, ruleset, shopping

PURCHASES = 9_000
ACCOUNTS = 900
PER_S = 450
BLOWS = 8
FINISH_S = 90


@pytest.mark.needs_kafka
@pytest.mark.timeout(240)
async def test_every_purchase_has_one_decision_and_counts_once_whatever_happens_to_the_workers(
    kafka: str, tmp_path: Path, chaos_seed: int, tell: Tell
) -> None:
    now_ms = int(time.time() * 1000)
    sent = shopping(
        chaos_seed, PURCHASES, accounts=ACCOUNTS, disorder=0.02, ends_ms=now_ms, labels=True, settlements=True
    )
    # Every other run is without stations, where purchases travel to the desk in bundles.
    rules = (LABEL_RULES if chaos_seed % 2 else ACCOUNT_RULES) + EXPIRY
    line = Line(kafka, f"chaos-{chaos_seed}")
    await line.set_up(rules)
    chaos = Chaos(chaos_seed, blows=BLOWS)
    with line.workers(tmp_path) as workers:
        workers.start(2)
        await asyncio.gather(line.send(sent, per_s=PER_S), chaos.rage(workers))
        await line.finish(workers, FINISH_S)
        codes = workers.stop()
    # One that is terminated while it still starts has no handler yet.
    assert {*codes} <= {0, -signal.SIGTERM}, f"the last workers did not leave cleanly: {codes}\n{workers.log_text()}"
    ledger = await read_ledger(line)
    hold(ledger, ruleset(rules), purchases_in(sent))
    tell(f"{chaos.history}; {ledger.repeats} decisions announced again")
    topics = [line.topic(name) for name in SOURCES]
    for tp, (committed, end) in (
        await committed_offsets(line.bootstrap_servers, line.settings.consumer_group, topics)
    ).items():
        assert (committed or 0) == end, f"{tp} ends committed at {committed} of {end}"
