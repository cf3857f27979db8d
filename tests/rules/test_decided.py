"""First decisions: found while they are kept, bounded, and the same after reading back at any moment."""

from __future__ import annotations

import random

import pytest

from models.decision import Action
from rules import block_log, decided
from rules.block_log import KEEP_MS
from rules.body import BODY_BYTES
from rules.decided import KEEP_PER_ACCOUNT, Decided, FirstDecision
from rules.entity import transaction_hash

BODY = bytes(BODY_BYTES)
START_MS = 1_772_431_200_000


def first(number: int, account: str, event_time_ms: int) -> FirstDecision:
    transaction = transaction_hash(f"t-{number}")
    return FirstDecision(account, transaction, BODY, event_time_ms, Action.FLAG, f"text {number}".encode())


class Kept:
    """Decisions with the state that their changes leave behind."""

    def __init__(self) -> None:
        self.decided = Decided()
        self.state: dict[bytes, bytes] = {}

    def end_run(self) -> None:
        for key, value in self.decided.changes():
            if value is None:
                del self.state[key]
            else:
                self.state[key] = value

    def read_back(self) -> None:
        self.decided = Decided()
        self.decided.restore(self.state)


@pytest.mark.parametrize("seed", range(8))
def test_decisions_read_back_at_any_moment_are_the_same_ones(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_log, "KEEP_IN_ALL", 300)
    monkeypatch.setattr(decided, "KEEP_PER_ACCOUNT", 5)
    rng, steady, shaken = random.Random(seed), Kept(), Kept()
    now_ms, asked = START_MS, list[tuple[str, bytes]]()
    for number in range(2_000):
        event_time_ms = START_MS + number * rng.choice([1, 60_000]) - rng.choice([0, 0, 0, 2 * KEEP_MS])
        now_ms = max(now_ms, event_time_ms)
        decision = first(number, f"a-{int(rng.paretovariate(1)) % 200}", event_time_ms)
        asked.append((decision.account_id, decision.transaction))
        for kept in (steady, shaken):
            kept.decided.keep(decision, now_ms)
        if rng.random() < 0.2:
            steady.end_run()
            shaken.end_run()
            if rng.random() < 0.2:
                shaken.read_back()
                found = [[kept.decided.find(*pair) for pair in asked] for kept in (steady, shaken)]
                assert found[0] == found[1]
    steady.end_run()
    shaken.end_run()
    assert steady.state == shaken.state


def test_an_account_keeps_its_latest_decisions() -> None:
    kept = Decided()
    for number in range(KEEP_PER_ACCOUNT + 1):
        kept.keep(first(number, "a-1", START_MS), START_MS)
    assert kept.find("a-1", transaction_hash("t-0")) is None
    assert kept.find("a-1", transaction_hash("t-1")) == first(1, "a-1", START_MS)


def test_a_decision_is_kept_for_a_day_of_event_time_and_its_state_goes_with_it() -> None:
    kept = Kept()
    for number, at_ms in enumerate([START_MS, START_MS + KEEP_MS, START_MS + KEEP_MS + 1]):
        kept.decided.keep(first(number, f"a-{number}", at_ms), at_ms)
        kept.end_run()
    assert kept.decided.find("a-0", transaction_hash("t-0")) is None
    assert kept.decided.find("a-1", transaction_hash("t-1")) is not None
    assert len(kept.state) == 2


def test_the_same_transaction_of_two_accounts_is_two() -> None:
    kept = Decided()
    kept.keep(first(1, "a-1", START_MS), START_MS)
    assert kept.find("a-2", transaction_hash("t-1")) is None
