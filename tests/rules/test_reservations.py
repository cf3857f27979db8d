"""The reservations of a desk: as a dict of them would be, due in order, bounded, the same after reading back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rules import reservations
from rules.accounts import Accounts
from rules.entity import transaction_hash
from rules.language.compile import compile_ruleset
from rules.plan import RulesetPlan
from rules.reservation import Refund, Reservation, State
from rules.reservations import KEEP_MS, KEEP_PER_ACCOUNT, Reservations
from rules.velocity import Subject
from tests.rules.test_velocity import START_MS, purchase

RULES = "ruleset: r\ncurrency: EUR\nrules: [{id: any, when: amount > 1.00, then: flag}]\n"
KEEPS, EXPIRES = (compile_ruleset(RULES + more).plan for more in ("", "reservations: {expire_after: 1h}\n"))
HOUR_MS = 3_600_000


def subject(number: int, account: str = "a-1", time_ms: int = START_MS) -> Subject:
    bought = purchase(number, time_ms, 100).model_copy(update={"account_id": account})
    return Subject(bought, 100, transaction_hash(bought.transaction_id))


def begin(
    reservations: Reservations, plan: RulesetPlan, bought: Subject, *, declined: bool, unreckoned: bool = False
) -> bool:
    account = reservations.accounts.get(bought.purchase.account_id)
    return reservations.begin(account, plan, bought, declined=declined, unreckoned=unreckoned)


class Kept:
    """Reservations with the state that their changes leave behind."""

    def __init__(self) -> None:
        self.reservations = Reservations(Accounts())
        self.state: dict[bytes, bytes] = {}

    def begin(self, bought: Subject, *, declined: bool) -> None:
        begin(self.reservations, KEEPS, bought, declined=declined)

    def end_run(self) -> None:
        for key, value in self.reservations.changes():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def notes(self) -> list[int]:
        """The blocks of what is gone, of each one that the state still has a note of."""
        return [int.from_bytes(raw, "little") for key, raw in self.state.items() if key[:1] == b"R" and len(raw) == 8]

    def read_back(self) -> None:
        self.end_run()
        self.reservations = Reservations(Accounts())
        self.reservations.restore(self.state)


class Machine(RuleBasedStateMachine):
    """One that is never read back, one that is, and a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.steady, self.shaken = Kept(), Kept()
        self.known: dict[tuple[str, bytes], Reservation] = {}
        self.now_ms = START_MS

    def _both(self) -> list[Reservations]:
        return [self.steady.reservations, self.shaken.reservations]

    @rule(
        number=st.integers(0, 12), account=st.sampled_from(["a", "ä-2", "a-3"]), expires=st.booleans(),
        declined=st.booleans(), unreckoned=st.booleans(), late_ms=st.integers(0, 3 * HOUR_MS),
    )  # fmt: skip
    def begin(self, number: int, account: str, expires: bool, declined: bool, unreckoned: bool, late_ms: int) -> None:
        bought = subject(number, account, self.now_ms - late_ms)
        key = account, bought.transaction
        plan = EXPIRES if expires else KEEPS
        opened = [begin(each, plan, bought, declined=declined, unreckoned=unreckoned) for each in self._both()]
        assert opened == [key not in self.known] * 2
        if key in self.known:
            return
        self.known[key] = Reservation(
            transaction=bought.transaction,
            state=State.DECLINED if declined else State.RESERVED,
            was_declined=declined,
            told=False,
            expires=expires and not declined,
            due_ms=self.now_ms - late_ms + (HOUR_MS if expires and not declined else KEEP_MS),
            paid_minor=100,
            paid_currency="EUR",
            currency="EUR",
            reserved_minor=100,
            transaction_id=bought.purchase.transaction_id if expires and not declined else "",
            unreckoned=unreckoned,
        )

    @precondition(lambda self: self.known)
    @rule(
        data=st.data(), state=st.sampled_from([State.CAPTURED, State.VOIDED, State.REFUNDED]), parts=st.integers(0, 3)
    )
    def put(self, data: st.DataObject, state: State, parts: int) -> None:
        account, transaction = data.draw(st.sampled_from(sorted(self.known)))
        after = self.known[account, transaction]._replace(
            state=state,
            expires=False,
            told=parts == 1,
            due_ms=self.now_ms + 10 * HOUR_MS,
            captured_minor=90,
            refunded_minor=parts,
            transaction_id="",
            refunds=tuple(Refund(b"refund-%d" % part, 1) for part in range(parts)),
        )
        self.known[account, transaction] = after
        for each in self._both():
            each.put(account, after)

    @rule(passed_ms=st.sampled_from([0, HOUR_MS // 2, 2 * HOUR_MS, KEEP_MS]))
    def pass_time(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        due = sorted(
            (known.due_ms, account, known.transaction)
            for (account, _), known in self.known.items()
            if known.due_ms <= self.now_ms
        )
        for account in ("a", "ä-2", "a-3"):
            own = [self.known[of, transaction] for _, of, transaction in due if of == account]
            assert [each.due_of(account, self.now_ms) for each in self._both()] == [own] * 2
        for _, account, transaction in due:
            known = self.known.pop((account, transaction))
            for each in self._both():
                assert each.due(self.now_ms) == (account, known)
                each.drop(account, transaction)
        assert [each.due(self.now_ms) for each in self._both()] == [None, None]
        assert all(each.next_ms > self.now_ms for each in self._both())

    @rule()
    def end_run(self) -> None:
        self.steady.end_run()
        self.shaken.end_run()

    @rule()
    def read_back(self) -> None:
        self.steady.end_run()
        self.shaken.read_back()
        assert self.shaken.state == self.steady.state
        newest = max((int.from_bytes(key[1:]) for key in self.steady.state if key[:1] == b"B"), default=0)
        assert sum(block < newest for block in self.steady.notes()) <= len(self.known)

    @invariant()
    def they_are_those_of_the_dict(self) -> None:
        for account in ("a", "ä-2", "a-3"):
            for number in range(13):
                transaction = subject(number).transaction
                found = [each.find(account, transaction) for each in self._both()]
                assert found == [self.known.get((account, transaction))] * 2

    def teardown(self) -> None:
        for each in self._both():
            for account, transaction in self.known:
                each.drop(account, transaction)
        self.steady.end_run()
        # The newest block stays, with what tells that nothing in it counts.
        assert sum(key[:1] == b"B" for key in self.steady.state) <= 1
        assert len(self.steady.state) <= 1 + 39


TestReservations = Machine.TestCase
TestReservations.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_an_account_keeps_so_many_and_what_uses_credit_goes_last() -> None:
    kept = Kept()
    for number in range(KEEP_PER_ACCOUNT):
        kept.begin(subject(number, time_ms=START_MS + number), declined=number % 4 == 3)
        if number % 4 == 1:
            found = kept.reservations.find("a-1", subject(number).transaction)
            assert found is not None
            kept.reservations.put("a-1", found._replace(state=State.CAPTURED))
    states = {State.RESERVED: 0, State.CAPTURED: 1, State.DECLINED: 3}

    def left(state: State) -> list[int]:
        numbers = range(states[state], KEEP_PER_ACCOUNT, 4)
        return [n for n in numbers if kept.reservations.find("a-1", subject(n).transaction) is not None]

    assert [len(left(state)) for state in states] == [128, 128, 128]
    for number in range(3):
        kept.begin(subject(1_000 + number, time_ms=START_MS + 1_000 + number), declined=False)
    assert [len(left(state)) for state in states] == [128, 128, 64]
    assert left(State.DECLINED)[0] == 4 * 64 + 3, "the oldest go first"
    for number in range(130):
        kept.begin(subject(2_000 + number, time_ms=START_MS + 2_000 + number), declined=False)
    assert [len(left(state)) for state in states] == [128, 64, 0]
    kept.read_back()
    assert [len(left(state)) for state in states] == [128, 64, 0]


def test_a_run_writes_what_it_begins_with_in_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "KEEP_PER_ACCOUNT", 10_000)
    kept = Kept()
    for number in range(300):
        kept.begin(subject(number, f"a-{number % 7}"), declined=False)
    assert len(list(kept.reservations.changes())) == 1


def test_one_that_stays_does_not_keep_what_tells_of_those_that_went() -> None:
    kept = Kept()
    for run in range(50):
        for number in range(10):
            kept.begin(subject(10 * run + number, f"a-{number}"), declined=number == 0)
        kept.end_run()
        for number in range(1, 10):
            kept.reservations.drop(f"a-{number}", subject(10 * run + number).transaction)
        kept.end_run()
    assert len(kept.state) <= 50 + 10
    kept.read_back()
    assert all(kept.reservations.find("a-0", subject(10 * run).transaction) is not None for run in range(50))
    assert kept.reservations.find("a-1", subject(1).transaction) is None


def test_an_account_that_comes_and_goes_leaves_nothing_on_the_agenda() -> None:
    reservations_: Any = Reservations(Accounts())
    for number in range(100):
        bought = subject(number, time_ms=START_MS + number)
        begin(reservations_, KEEPS, bought, declined=False)
        reservations_.drop("a-1", bought.transaction)
    assert reservations_._agenda.count <= 2
    assert reservations_.due(START_MS + 2 * KEEP_MS) is None


def test_reservations_that_a_worker_wrote_again_in_other_blocks_are_kept_once() -> None:
    owner, other = Kept(), Kept()
    for kept, run in ((owner, 5), (other, 4)):
        for number in range(12):
            kept.begin(subject(number), declined=False)
            if number % run == run - 1:
                kept.end_run()
        kept.end_run()
    owner.state = other.state | owner.state
    owner.reservations = Reservations(Accounts())
    owner.reservations.restore(owner.state)
    due = [each.transaction for each in owner.reservations.due_of("a-1", START_MS + KEEP_MS)]
    assert sorted(due) == sorted(subject(number).transaction for number in range(12))
