"""Which part of a worker a sample belongs to."""

from __future__ import annotations

import pytest

from bench.components import REST, component_of, shares

WORKER = "main (streams/cli/__init__.py:9);_complete (streams/engine/pipeline.py:150)"


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        ("main (streams/cli/__init__.py:9)", REST),
        (f"{WORKER}", "runs through the engine, and metrics"),
        (f"{WORKER};Desk.apply (rules/desk.py:1)", "router and desk, the rest"),
        (f"{WORKER};Desk.apply (rules/desk.py:1);cuts_of (rules/velocity.py:90)", "features: windows and logs"),
        (f"{WORKER};Desk.changes (rules/desk.py:1);encode_rows (rules/chunk.py:3)", "state: what changed, encoded"),
        (f"{WORKER};decode_purchase (models/purchase.py:80)", "decode purchases"),
        (f"{WORKER};hits (<ruleset>:4)", "rules"),
        (f"{WORKER};BatchWriter._send (streams/engine/writer.py:9)", "produce: outputs and state"),
        ("Fetcher.getmany (aiokafka/consumer/fetcher.py:9);loads (aiokafka/protocol/types.py:3)", "fetch"),
        ("AIOKafkaConnection._read (aiokafka/conn.py:9)", "network: requests and responses"),
        ("Agent._execute_actor (faust/agents/agent.py:9)", "Faust"),
    ],
)
def test_a_sample_belongs_to_the_most_telling_of_its_frames(stack: str, part: str) -> None:
    assert component_of(stack) == part


def test_shares_are_of_all_samples_and_the_largest_comes_first() -> None:
    lines = ["a (faust/a.py:1) 1", "b (rules/velocity.py:1) 5", "c (rules/logbook.py:2);d (rules/windows.py:3) 2"]
    assert list(shares(lines).items()) == [("features: windows and logs", 0.875), ("Faust", 0.125)]
