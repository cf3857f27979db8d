"""The whole line on Kafka, three workers and four partitions, against an oracle that knows of neither."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.purchase import Purchase
from streams.engine.partitioner import partition_for
from tests.integration.conftest import Tell
from tests.integration.ledger import hold, read_ledger
from tests.integration.line import PARTITIONS, Line
from tests.integration.shopping import RULES, purchases_in, ruleset, shopping
from tests.line_oracle import LineOracle, Measured

SEED = 11
PURCHASES = 50_000
ACCOUNTS = 4_000
FINISH_S = 240


@pytest.mark.needs_kafka
@pytest.mark.timeout(480)
async def test_every_stamp_and_decision_equals_the_oracles_in_the_order_of_arrival(
    kafka: str, tmp_path: Path, tell: Tell
) -> None:
    now_ms = int(time.time() * 1000)
    sent = shopping(SEED, PURCHASES, accounts=ACCOUNTS, disorder=0.02, ends_ms=now_ms)
    line = Line(kafka, "line")
    await line.set_up(RULES)
    with line.workers(tmp_path) as workers:
        workers.start(3)
        await line.send(sent)
        await line.finish(workers, FINISH_S)
        assert workers.stop() == [0, 0, 0]
    ledger = await read_ledger(line)
    purchases = purchases_in(sent)
    tell(f"seed {SEED}: {len(purchases)} purchases, {len(ledger.sightings)} stops, {ledger.repeats} repeats")
    hold(ledger, ruleset(), purchases)
    assert ledger.repeats == 0, "nobody crashed"

    wrong, measured = wrong_device_features(purchases)
    tell(f"counted where the account lives, {wrong / measured:.1%} of {measured} device features were wrong")
    assert wrong / measured > 0.1, "the stations would not be worth their hops"


def wrong_device_features(purchases: Sequence[Purchase]) -> tuple[int, int]:
    """How many device features differ, and of how many, if each partition of purchases counted for itself."""
    together = LineOracle(ruleset())
    apart = defaultdict[int, LineOracle](lambda: LineOracle(ruleset()))
    wrong = measured = 0
    for purchase in purchases:
        if purchase.device_id is None:
            continue
        partition = partition_for(purchase.account_id.encode(), PARTITIONS)
        true = together.sight(("device_id",), purchase)
        counted: list[Measured] = apart[partition].sight(("device_id",), purchase)
        wrong += sum(ours.value != theirs.value for ours, theirs in zip(true, counted, strict=True))
        measured += len(true)
    return wrong, measured
