"""The rules decide on recorded purchases as they did when somebody last looked."""

from __future__ import annotations


def test_the_winter_is_decided_as_before(load_recording, decide, golden):
    """What is decided otherwise shows; `pytest --update-golden` takes it as right."""
    decisions = decide(load_recording("recordings/winter"), "rules/checkout.yaml")
    golden.check(decisions, "golden/winter.jsonl.gz")
