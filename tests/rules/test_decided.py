"""First decisions: found while they are kept, bounded, and the same after reading back at any moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.decision import Action, Decision, encode_decision
from models.plain_purchase import PlainPurchase
from rules import block_log, decided
from rules.accounts import Accounts
from rules.block_log import KEEP_MS
from rules.body import body_of
from rules.decided import KEEP_PER_ACCOUNT, Decided, FirstDecision
from rules.entity import transaction_hash
from rules.language.compile import compile_ruleset
from tests.models.test_decision import DECISIONS, REASON

ACCOUNT_ONLY = Path(__file__).parents[2] / "examples/rules/account-only.yaml"
START_MS = 1_772_431_200_000
FEATURES = {"count(account_id, 1h)": 3, "since(account_id)": None}
SHAPES = st.sampled_from([("checkout", "v1", ("a", "b")), ("checkout", "v2", ("b", "a")), ("checkout", "v3", ())])
IDENTIFIERS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128) | st.sampled_from(['"', "\\u0041", "ä,é"])


def approval(number: int, account: str = "a-1", event_time_ms: int = START_MS) -> Decision:
    return Decision(
        f"t-{number}", account, Action.APPROVE, [], [], None, [], FEATURES,
        "checkout", "v1", 500 + number, "CNY", event_time_ms, late=False, degraded=[],
    )  # fmt: skip


def flagged(number: int, account: str = "a-1", event_time_ms: int = START_MS) -> Decision:
    return approval(number, account, event_time_ms)._replace(action=Action.FLAG, reasons=[REASON])


def purchase_of(decision: Decision) -> PlainPurchase:
    return PlainPurchase(
        decision.transaction_id,
        decision.account_id,
        decision.amount,
        decision.currency,
        decision.event_time,
        "m-1001",
        "5411",
    )


def first_of(decision: Decision) -> FirstDecision:
    return FirstDecision(
        decision.account_id,
        transaction_hash(decision.transaction_id),
        body_of(purchase_of(decision)),
        Action(decision.action),
        encode_decision(decision),
    )


class Kept:
    """Decisions with the state that their changes leave behind."""

    def __init__(self) -> None:
        self.accounts = Accounts()
        self.decided = Decided(self.accounts)
        self.state: dict[bytes, bytes] = {}

    @property
    def blocks(self) -> list[bytes]:
        """The state records of decisions; the others are of what they have in common."""
        return [raw for key, raw in self.state.items() if key[:1] == b"D"]

    def keep(self, decision: Decision, now_ms: int = START_MS) -> None:
        self.decided.keep(decision, purchase_of(decision), transaction_hash(decision.transaction_id), now_ms)

    def find(self, decision: Decision) -> FirstDecision | None:
        transaction = transaction_hash(decision.transaction_id)
        found = self.decided.find(decision.account_id, transaction)
        assert self.decided.knows(decision.account_id, transaction) is (found is not None)
        return found

    def end_run(self) -> None:
        for key, value in self.decided.changes():
            if value is None:
                del self.state[key]
            else:
                self.state[key] = value

    def read_back(self) -> None:
        self.accounts = Accounts()
        self.decided = Decided(self.accounts)
        self.decided.restore(self.state)


@st.composite
def plain_approvals(draw: st.DrawFn) -> Decision:
    ruleset, version, names = draw(SHAPES)
    features = {name: draw(st.none() | st.integers(0, 2**63 - 1)) for name in names}
    transaction_id, account_id, amount = draw(IDENTIFIERS), draw(IDENTIFIERS), draw(st.integers(1, 10**15))
    return approval(1)._replace(
        transaction_id=transaction_id,
        account_id=account_id,
        amount=amount,
        currency=draw(st.sampled_from(["CNY", "EUR"])),
        event_time=START_MS + draw(st.integers(0, KEEP_MS)),
        ruleset=ruleset,
        ruleset_version=version,
        features=features,
    )


@given(
    st.lists(plain_approvals() | DECISIONS.map(lambda each: each._replace(event_time=START_MS)), min_size=1, max_size=6)
)
def test_any_decision_is_given_again_byte_for_byte(decisions: list[Decision]) -> None:
    unique = {(each.account_id, each.transaction_id): each for each in decisions}.values()
    kept = Kept()
    for number, decision in enumerate(unique):
        kept.keep(decision)
        if number % 3 == 2:
            kept.end_run()
    kept.end_run()
    for _ in range(2):
        assert [kept.find(each) for each in unique] == [first_of(each) for each in unique]
        kept.read_back()


@pytest.mark.parametrize("make", [approval, flagged])
def test_what_decisions_have_in_common_is_in_the_state_once(make: Callable[[int, str], Decision]) -> None:
    kept = Kept()
    for number in range(50):
        kept.keep(make(number, f"a-{number}"))
        if number % 20 == 0:
            kept.end_run()
    kept.end_run()
    state = b"".join(kept.state.values())
    for text in (
        b"since(account_id)",
        b"checkout",
        make(1, "").reasons[0].code.encode() if make(1, "").reasons else b"",
    ):
        assert not text or state.count(text) == 1


@pytest.mark.parametrize(
    ("make", "run", "largest"),
    [(approval, 1, 150), (approval, 10, 110), (approval, 500, 105), (flagged, 1, 170), (flagged, 500, 125)],
)
def test_a_decision_takes_few_bytes_in_runs_of_any_length(
    make: Callable[[int, str], Decision], run: int, largest: int
) -> None:
    kept = Kept()
    for number in range(1_000):
        kept.keep(make(number, f"a-{number}"))
        if number % run == run - 1:
            kept.end_run()
    written = sum(len(key) + len(value) for key, value in kept.state.items())
    assert len(kept.blocks) == 1_000 // run
    assert written / 1_000 < largest


@pytest.mark.parametrize(
    "amiss",
    [
        {"action": Action.BLOCK},
        {"reasons": [REASON]},
        {"shadow": [REASON]},
        {
            "reasons": [REASON, REASON._replace(observed="CN", clears_at=None)],
            "shadow": [REASON._replace(observed=1.5)],
        },
        {"anomaly": 0.0},
        {"contributions": [("amount", 0.5)]},
        {"late": True},
        {"degraded": ["credit-unknown"]},
    ],
)
def test_a_decision_that_says_more_is_given_again_too(amiss: dict[str, object]) -> None:
    kept, decision = Kept(), approval(1)._replace(**amiss)
    kept.keep(decision)
    assert kept.find(decision) == first_of(decision)
    kept.end_run()
    kept.read_back()
    assert kept.find(decision) == first_of(decision)


def test_a_plain_approval_is_kept_without_its_decision_as_with_it() -> None:
    ruleset, one, other = compile_ruleset(ACCOUNT_ONLY.read_text(), ACCOUNT_ONLY.name), Kept(), Kept()
    for number in range(10):
        values = [number, None, *range(len(ruleset.plan.feature_names) - 2)]
        features = dict(zip(ruleset.plan.feature_names, values, strict=True))
        decision = approval(number)._replace(ruleset_version=ruleset.version, features=features)
        purchase, transaction = purchase_of(decision), transaction_hash(decision.transaction_id)
        account = one.accounts.get(decision.account_id)
        one.decided.keep_plain(account, ruleset, purchase, transaction, values, START_MS)
        other.keep(decision)
        assert one.find(decision) == other.find(decision) == first_of(decision)
    one.end_run()
    other.end_run()
    assert one.state == other.state


@pytest.mark.parametrize("seed", range(8))
def test_decisions_read_back_at_any_moment_are_the_same_ones(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_log, "KEEP_IN_ALL", 300)
    monkeypatch.setattr(decided, "KEEP_PER_ACCOUNT", 5)
    rng, steady, shaken = random.Random(seed), Kept(), Kept()
    now_ms, asked = START_MS, list[Decision]()
    for number in range(2_000):
        event_time_ms = START_MS + number * rng.choice([1, 60_000]) - rng.choice([0, 0, 0, 2 * KEEP_MS])
        now_ms = max(now_ms, event_time_ms)
        make = rng.choice([approval, approval, flagged])
        decision = make(number, f"a-{int(rng.paretovariate(1)) % 200}", event_time_ms)
        asked.append(decision)
        for kept in (steady, shaken):
            kept.keep(decision, now_ms)
        if rng.random() < 0.2:
            steady.end_run()
            shaken.end_run()
            if rng.random() < 0.2:
                shaken.read_back()
                found = [[kept.find(each) for each in asked] for kept in (steady, shaken)]
                assert found[0] == found[1]
    steady.end_run()
    shaken.end_run()
    assert steady.state == shaken.state


class Oracle:
    """What is kept, as a list that is looked through."""

    def __init__(self, per_account: int, in_all: int) -> None:
        self.kept: list[Decision] = []
        self._per_account, self._in_all = per_account, in_all

    def keep(self, decision: Decision, now_ms: int) -> None:
        self.kept.append(decision)
        of_account = [each for each in self.kept if each.account_id == decision.account_id]
        if len(of_account) > self._per_account:
            self.kept.remove(of_account[0])
        while len(self.kept) > 1 and (len(self.kept) > self._in_all or self.kept[0].event_time < now_ms - KEEP_MS):
            self.kept.pop(0)


@pytest.mark.parametrize("seed", range(4))
def test_kept_are_an_accounts_latest_the_latest_in_all_and_those_of_a_day(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_log, "KEEP_IN_ALL", 60)
    monkeypatch.setattr(decided, "KEEP_PER_ACCOUNT", 4)
    rng, kept, oracle = random.Random(seed), Kept(), Oracle(4, 60)
    now_ms, asked = START_MS, list[Decision]()
    for number in range(400):
        now_ms += rng.choice([0, 1, KEEP_MS // 40, KEEP_MS // 4])
        event_time_ms = now_ms - rng.choice([0, 0, KEEP_MS // 2, 2 * KEEP_MS])
        # The same transaction is sent by several accounts, and by one again after it is forgotten.
        decision = approval(number % 250, f"a-{rng.choice([0, 0, 0, rng.randrange(100)])}", event_time_ms)
        if any(each[:2] == decision[:2] for each in oracle.kept):
            continue
        asked.append(decision)
        kept.keep(decision, now_ms)
        oracle.keep(decision, now_ms)
        if number % 50 == 0:
            kept.end_run()
            kept.read_back()
        found = {each for each in (kept.find(every) for every in asked) if each is not None}
        assert found == {first_of(each) for each in oracle.kept}
        for transaction_id in {each.transaction_id for each in asked[-20:]}:
            earliest = next((each for each in oracle.kept if each.transaction_id == transaction_id), None)
            expected = first_of(earliest) if earliest is not None else None
            assert kept.decided.find_in_all(transaction_hash(transaction_id)) == expected


def test_an_account_keeps_its_latest_decisions() -> None:
    kept = Kept()
    for number in range(KEEP_PER_ACCOUNT + 1):
        kept.keep(approval(number))
    assert kept.find(approval(0)) is None
    assert kept.find(approval(1)) == first_of(approval(1))


def test_a_decision_is_kept_for_a_day_of_event_time_and_its_state_goes_with_it() -> None:
    kept = Kept()
    for number, at_ms in enumerate([START_MS, START_MS + KEEP_MS, START_MS + KEEP_MS + 1]):
        kept.keep(approval(number, f"a-{number}", at_ms), at_ms)
        kept.end_run()
    assert kept.find(approval(0, "a-0")) is None
    assert kept.find(approval(1, "a-1")) is not None
    assert len(kept.blocks) == 2


def test_the_same_transaction_of_two_accounts_is_two() -> None:
    kept = Kept()
    kept.keep(approval(1, "a-1"))
    assert kept.find(approval(1, "a-2")) is None


def test_decisions_that_a_worker_wrote_again_in_other_blocks_are_kept_once() -> None:
    owner, other = Kept(), Kept()
    decisions = [approval(number, f"a-{number % 3}") for number in range(12)]
    for kept, run in ((owner, 5), (other, 4)):
        for number, decision in enumerate(decisions, 1):
            kept.keep(decision)
            if number % run == 0:
                kept.end_run()
        kept.end_run()
    owner.state = other.state | owner.state
    owner.read_back()
    assert [owner.find(each) for each in decisions] == [first_of(each) for each in decisions]
    later = START_MS + KEEP_MS + 1
    owner.keep(approval(99, "a-1", later), later)
    assert [owner.find(each) for each in decisions] == [None] * 12
