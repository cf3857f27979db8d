"""The whole line in memory decides what an oracle says that knows neither partitions nor window logs."""

from __future__ import annotations

import random

import pytest

from models.decision import decode_decision
from models.settlement import encode_settlement_result
from tests.integration.shopping import ACCOUNT_RULES, EXPIRY, LABEL_RULES, RULES, Sent, ruleset, shopping
from tests.line_oracle import LineOracle, in_event_order
from tests.memory import MemoryLine

HOURS_AHEAD_MS = 24 * 3_600_000


@pytest.mark.parametrize(("seed", "rules"), [(1, RULES), (2, LABEL_RULES), (3, ACCOUNT_RULES)])
def test_every_decision_equals_the_oracles(seed: int, rules: str) -> None:
    compiled = ruleset(rules + EXPIRY)
    sent = shopping(seed, 4_000, accounts=200, disorder=0.03, labels=True, settlements=True)
    line, rng = MemoryLine(compiled), random.Random(seed)
    for one in sent:
        line.send(one.topic, one.key, one.value, _timestamp_ms(one))
        if rng.random() < 0.005:
            line.crash(rng.choice(["sightings", "assessments"]), rng.randrange(line.partitions))
    oracle, events = LineOracle(compiled), [one.event() for one in sent]
    expected = [
        decision
        for _, decision in in_event_order(oracle, events, lambda account_id: line.partition_of(account_id.encode()))
    ]
    decided = [decode_decision(output.value or b"") for output in line.written["decisions"]]
    assert len(decided) == 4_000
    for decision, wanted in zip(decided, expected, strict=True):
        assert decision == wanted
    results = [output.value or b"" for output in line.written["settlements.results"]]
    assert sorted(results) == sorted(encode_settlement_result(result) for result in oracle.results)
    matched = {reason.rule for decision in decided for reason in (*decision.reasons, *decision.shadow)}
    assert matched == {rule.id for rule in compiled.document.rules}, "a rule that never matches tests nothing"
    assert any(decision.late for decision in decided)
    assert any(reason.clears_at for decision in decided for reason in decision.reasons)


def _timestamp_ms(one: Sent) -> int:
    return one.event().event_time + HOURS_AHEAD_MS
