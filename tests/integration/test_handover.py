"""Workers that leave and workers that take their place, with all that was known."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from models.label import Label
from models.purchase import Purchase
from tests.integration.ledger import hold, read_ledger
from tests.integration.line import Line, until
from tests.integration.shopping import LABEL_RULES, RULES, purchases_in, ruleset, shopping

SEED = 53


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_a_worker_that_is_terminated_commits_all_it_did_and_the_next_does_the_rest_once(
    kafka: str, tmp_path: Path
) -> None:
    line = Line(kafka, "leaving")
    await line.set_up(RULES)
    sent = shopping(SEED, 3_000, accounts=300, ends_ms=int(time.time() * 1000))
    with line.workers(tmp_path) as workers:
        workers.start()
        sending = asyncio.create_task(line.send(sent, per_s=1_000))
        leaver = workers.alive[0]
        # It is in the middle of its work.
        await asyncio.sleep(2)
        await until(lambda: '"recovered"' in workers.log_text(), "the worker to begin", 30)
        await asyncio.sleep(0.5)
        workers.send(leaver, signal.SIGTERM)
        assert await asyncio.to_thread(leaver.wait, 30) == 0
        workers.alive.remove(leaver)
        await sending
        left = await line.unfinished()
        assert sum(left.values()), "there was nothing left to do: this tests nothing"
        workers.start()
        await line.finish(workers, 60)
        assert workers.stop() == [0]
    ledger = await read_ledger(line)
    assert ledger.repeats == 0, "something was done twice: it had not been committed"
    hold(ledger, ruleset(), purchases_in(sent))


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
async def test_a_fresh_worker_takes_over_with_all_that_was_counted(
    kafka: str, tmp_path: Path, sig: signal.Signals
) -> None:
    line = Line(kafka, "fresh")
    await line.set_up(LABEL_RULES)
    sent = shopping(SEED, 2_000, accounts=200, ends_ms=int(time.time() * 1000), labels=True)
    half = len(sent) // 2
    with line.workers(tmp_path) as workers:
        workers.start()
        await line.send(sent[:half])
        await line.finish(workers, 60)
        first = workers.alive[0]
        workers.send(first, sig)
        await asyncio.to_thread(first.wait, 30)
        workers.reap()
        workers.start()
        await line.send(sent[half:])
        await line.finish(workers, 60)
        assert workers.stop() == [0]
    ledger = await read_ledger(line)
    assert ledger.repeats == 0
    assert {type(arrival.event) for arrival in ledger.sightings} == {Purchase, Label}
    hold(ledger, ruleset(LABEL_RULES), purchases_in(sent))
