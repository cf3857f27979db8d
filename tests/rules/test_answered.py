"""Degraded answers at the desk: each is held against the full decision once, whatever comes first, however often."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import pytest

from models.decision import Action, Decision, encode_decision
from models.reconciliation import Reconciliation, decode_reconciliation
from rules import answered, block_log
from rules.accounts import Accounts
from rules.answered import KEEP_PER_ACCOUNT, Answers
from rules.block_log import KEEP_MS
from rules.body import Body
from rules.decided import FirstDecision
from rules.degraded import BREAKER_OPEN, DEADLINE, DEFAULT, STATELESS_RULES
from rules.entity import transaction_hash
from rules.fold import Output

START_MS = 1_772_431_200_000


def decision(
    number: int,
    action: Action,
    degraded: tuple[str, ...] = (),
    *,
    account: str = "a-1",
    at_ms: int = START_MS,
    version: str = "v2",
) -> Decision:
    return Decision(
        f"t-{number}", account, action, [], [], None, [], {}, "checkout", version, 500, "CNY", at_ms, False, [*degraded]
    )


def first_of(full: Decision) -> FirstDecision:
    return FirstDecision(
        full.account_id,
        transaction_hash(full.transaction_id),
        Body(full.amount, full.currency, full.event_time, ()),
        Action(full.action),
        encode_decision(full),
    )


class Kept:
    """Answers with the state that their changes leave behind, and what was written and noticed."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.state: dict[bytes, bytes] = {}
        self.written: list[Output] = []
        self.noticed: list[Reconciliation | None] = []
        self.answers = self._new()

    def _new(self) -> Answers:
        return Answers(Accounts(), lambda: self.now_ms, self.noticed.append)

    def take(self, answer: Decision, full: Decision | None = None) -> list[Reconciliation]:
        return self._wrote(
            self.answers.take(answer, encode_decision(answer), first_of(full) if full is not None else None)
        )

    def decided(self, full: Decision) -> list[Reconciliation]:
        self.now_ms = max(self.now_ms, full.event_time)
        return self._wrote(
            self.answers.decided(full.account_id, transaction_hash(full.transaction_id), encode_decision(full))
        )

    def _wrote(self, outputs: Sequence[Output]) -> list[Reconciliation]:
        self.written += outputs
        assert all(output.topic == "reconciliations" for output in outputs)
        read = [decode_reconciliation(output.value or b"") for output in outputs]
        assert [output.key for output in outputs] == [each.account_id.encode() for each in read]
        return read

    def end_run(self) -> None:
        for key, value in self.answers.changes():
            if value is None:
                del self.state[key]
            else:
                self.state[key] = value

    def read_back(self) -> None:
        self.answers = self._new()
        self.answers.restore(self.state)


APPROVED = decision(1, Action.APPROVE, (DEFAULT, DEADLINE), version="v1")
FLAGGED = decision(1, Action.FLAG, (STATELESS_RULES, BREAKER_OPEN), version="v1")
BLOCKED = decision(1, Action.BLOCK)


def test_an_answer_that_came_before_the_decision_is_reconciled_right_behind_it() -> None:
    kept = Kept()
    assert kept.take(APPROVED) == []
    (reconciled,) = kept.decided(BLOCKED)
    assert reconciled == Reconciliation(
        transaction_id="t-1",
        account_id="a-1",
        answered="approve",
        decided="block",
        differs=True,
        degraded=[DEFAULT, DEADLINE],
        ruleset="checkout",
        answered_version="v1",
        decided_version="v2",
        amount=500,
        currency="CNY",
        event_time=START_MS,
    )
    assert kept.noticed == [reconciled]


def test_an_answer_that_comes_after_the_decision_is_reconciled_at_once() -> None:
    kept = Kept()
    assert kept.decided(BLOCKED) == []
    (reconciled,) = kept.take(APPROVED, BLOCKED)
    assert (reconciled.answered, reconciled.decided, reconciled.differs) == ("approve", "block", True)


def test_an_answer_that_the_decision_bears_out_does_not_differ() -> None:
    kept = Kept()
    kept.take(decision(1, Action.BLOCK, (DEFAULT, DEADLINE), version="v1"))
    (reconciled,) = kept.decided(BLOCKED)
    assert not reconciled.differs


def test_the_same_answer_again_is_reconciled_once_before_and_after_the_decision() -> None:
    kept = Kept()
    kept.take(APPROVED)
    kept.take(APPROVED)
    assert len(kept.decided(BLOCKED)) == 1
    assert kept.take(APPROVED, BLOCKED) == []
    assert kept.decided(BLOCKED) == []


def test_two_gateways_that_answered_differently_are_reconciled_each() -> None:
    kept = Kept()
    kept.take(APPROVED)
    kept.take(FLAGGED)
    assert [(each.answered, each.degraded[0]) for each in kept.decided(BLOCKED)] == [
        ("approve", DEFAULT),
        ("flag", STATELESS_RULES),
    ]


def test_the_same_transaction_of_two_accounts_is_two() -> None:
    kept = Kept()
    kept.take(APPROVED)
    assert kept.decided(decision(1, Action.BLOCK, account="a-2")) == []
    assert kept.answers.find("a-2", transaction_hash("t-1")) is None
    assert len(kept.decided(BLOCKED)) == 1


def test_what_the_checkout_was_told_first_is_found_before_and_after_reconciliation() -> None:
    kept, transaction = Kept(), transaction_hash("t-1")
    assert kept.answers.find("a-1", transaction) is None
    kept.take(APPROVED)
    kept.take(FLAGGED)
    assert kept.answers.find("a-1", transaction) is Action.APPROVE
    kept.decided(BLOCKED)
    kept.now_ms += KEEP_MS
    kept.take(decision(2, Action.FLAG, (DEFAULT, DEADLINE), at_ms=kept.now_ms))
    assert kept.answers.find("a-1", transaction) is Action.APPROVE
    kept.now_ms += 1
    assert kept.answers.find("a-1", transaction) is None


def test_of_different_answers_one_to_go_ahead_is_found_whichever_came_first() -> None:
    blocked = decision(1, Action.BLOCK, (DEFAULT, DEADLINE))
    for answers in ([blocked, APPROVED], [APPROVED, blocked]):
        kept = Kept()
        for each in answers:
            kept.take(each)
        assert kept.answers.find("a-1", transaction_hash("t-1")) is Action.APPROVE


def test_an_answer_whose_decision_never_comes_is_forgotten_after_a_day_and_that_is_noticed() -> None:
    kept = Kept()
    kept.take(APPROVED)
    kept.end_run()
    assert len(kept.state) == 2
    late_ms = START_MS + KEEP_MS + 1
    kept.decided(decision(2, Action.FLAG, at_ms=late_ms))
    kept.take(decision(3, Action.FLAG, (DEFAULT, DEADLINE), at_ms=late_ms))
    kept.end_run()
    assert kept.noticed == [None]
    assert len(kept.state) == 2
    assert kept.decided(BLOCKED) == []
    kept.decided(decision(3, Action.FLAG, at_ms=late_ms))
    kept.end_run()
    assert len(kept.state) == 1


def test_an_account_keeps_its_latest_answers() -> None:
    kept = Kept()
    for number in range(KEEP_PER_ACCOUNT + 1):
        kept.take(decision(number, Action.FLAG, (DEFAULT, DEADLINE)))
    assert kept.noticed == [None]
    assert kept.answers.find("a-1", transaction_hash("t-0")) is None
    assert kept.answers.find("a-1", transaction_hash("t-1")) is Action.FLAG


def test_what_waited_for_less_than_a_run_leaves_no_mark_in_the_state() -> None:
    kept = Kept()
    kept.take(APPROVED)
    kept.decided(BLOCKED)
    changes = list(kept.answers.changes())
    assert [key[:1] for key, _ in changes] == [b"G"]
    assert list(kept.answers.changes()) == []


@pytest.mark.parametrize("crashed", [False, True])
def test_an_answer_that_time_has_let_go_is_a_new_one_also_where_its_block_is_still_there(*, crashed: bool) -> None:
    kept = Kept()
    kept.take(APPROVED, BLOCKED)
    kept.take(decision(2, Action.FLAG, (DEFAULT, DEADLINE), at_ms=START_MS + KEEP_MS))
    kept.end_run()
    kept.decided(decision(3, Action.FLAG, at_ms=START_MS + KEEP_MS + 1))
    kept.end_run()
    if crashed:
        kept.read_back()
    assert len(kept.take(APPROVED, BLOCKED)) == 1


def test_answers_are_read_back_where_older_blocks_went_in_a_run_without_an_answer() -> None:
    kept = Kept()
    for number in range(3):
        kept.take(decision(number, Action.FLAG, (DEFAULT, DEADLINE), at_ms=START_MS + number))
        kept.end_run()
    kept.now_ms += KEEP_MS + 2
    kept.end_run()
    kept.read_back()
    found = [kept.answers.find("a-1", transaction_hash(f"t-{number}")) for number in range(3)]
    assert found == [None, None, Action.FLAG]


@pytest.mark.parametrize("seed", range(8))
def test_answers_read_back_at_any_moment_are_reconciled_as_if_nothing_had_happened(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_log, "KEEP_IN_ALL", 150)
    monkeypatch.setattr(answered, "KEEP_PER_ACCOUNT", 5)
    rng, steady, shaken = random.Random(seed), Kept(), Kept()
    full: dict[int, Decision] = {}
    for step in range(2_500):
        number = max(0, step - int(rng.expovariate(rng.choice([0.02, 0.02, 0.001]))))
        account = f"a-{number % 40}"
        at_ms = START_MS + number * 120_000 - (2 * KEEP_MS if number % 97 == 0 else 0)
        if rng.random() < 0.6:
            answer = decision(
                number,
                rng.choice([Action.APPROVE, Action.FLAG]),
                (DEFAULT, rng.choice([DEADLINE, BREAKER_OPEN])),
                account=account,
                at_ms=at_ms,
            )
            for kept in (steady, shaken):
                kept.take(answer, full.get(number))
        elif number not in full:
            full[number] = decision(number, rng.choice(list(Action)), account=account, at_ms=at_ms)
            for kept in (steady, shaken):
                kept.decided(full[number])
        if rng.random() < 0.2:
            steady.end_run()
            shaken.end_run()
            if rng.random() < 0.3:
                shaken.read_back()
    for kept in (steady, shaken):
        kept.end_run()
    asked = [(f"a-{number % 40}", transaction_hash(f"t-{number}")) for number in range(2_500)]
    found = [[kept.answers.find(*each) for each in asked] for kept in (steady, shaken)]
    assert found[0] == found[1]
    assert shaken.written == steady.written
    assert shaken.state == steady.state
    assert shaken.noticed == steady.noticed
    assert {each.differs for each in steady.noticed if each is not None} == {True, False}
    assert None in steady.noticed


@pytest.mark.parametrize("seed", range(4))
def test_each_distinct_answer_to_what_is_decided_is_reconciled_once_in_any_order(seed: int) -> None:
    rng, kept = random.Random(seed), Kept()
    told: defaultdict[int, list[Decision]] = defaultdict(list)
    happenings: list[tuple[int, Decision]] = []
    for number in range(200):
        account = f"a-{number % 9}"
        happenings.append((number, decision(number, rng.choice(list(Action)), account=account)))
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            cause = rng.choice([DEADLINE, BREAKER_OPEN])
            answer = decision(number, rng.choice(list(Action)), (DEFAULT, cause), account=account)
            happenings += [(number, answer)] * rng.choice([1, 1, 2])
            told[number].append(answer)
    rng.shuffle(happenings)
    full: dict[int, Decision] = {}
    for number, happening in happenings:
        if happening.degraded:
            kept.take(happening, full.get(number))
        else:
            full[number] = happening
            kept.decided(happening)
        kept.end_run()
    written = sorted(
        (each.transaction_id, each.answered, tuple(each.degraded), each.decided, each.differs)
        for each in kept.noticed
        if each is not None
    )
    wanted = sorted(
        {
            (a.transaction_id, str(a.action), tuple(a.degraded), str(full[n].action), a.action != full[n].action)
            for n, answers in told.items()
            for a in answers
        }
    )
    assert written == wanted
    assert not [key for key in kept.state if key[:1] == b"H"]
