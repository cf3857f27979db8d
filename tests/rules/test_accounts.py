"""The accounts of a desk: the same after reading back at any moment, however many a run changes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rules.account import Account
from rules.accounts import Accounts
from rules.credit import Limit

ACCOUNTS = 60


@dataclass
class Known:
    """What an account should be."""

    latest_ms: int = 0
    used_minor: int = 0
    currency: str = ""
    limit: Limit | None = None
    repayments: tuple[str, ...] = ()


class Kept:
    """Accounts with the state that their changes leave behind."""

    def __init__(self) -> None:
        self.accounts = Accounts()
        self.state: dict[bytes, bytes] = {}

    def end_run(self) -> None:
        changes = list(self.accounts.changes())
        assert len({key for key, _ in changes}) == len(changes), "no record twice"
        for key, value in changes:
            if value is None:
                del self.state[key]
            else:
                self.state[key] = value

    def read_back(self) -> None:
        self.accounts = Accounts()
        # In any order: a changelog is compacted.
        self.accounts.restore(dict(sorted(self.state.items(), key=lambda each: hash(each[0]))))

    def blocks(self) -> int:
        return sum(key[:1] == b"C" for key in self.state)


def named(number: int) -> str:
    return f"ä-{number}"


class Machine(RuleBasedStateMachine):
    """One that is never read back, one that is, and a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.steady, self.shaken = Kept(), Kept()
        self.known = {number: Known() for number in range(ACCOUNTS)}
        self.purchases = 0

    def _both(self, number: int) -> list[tuple[Accounts, Account]]:
        return [(kept.accounts, kept.accounts.get(named(number))) for kept in (self.steady, self.shaken)]

    @rule(
        first=st.integers(0, ACCOUNTS - 1), count=st.sampled_from([1, 1, 3, 15, 16, 40]), currency=st.sampled_from("AB")
    )
    def buy(self, first: int, count: int, currency: str) -> None:
        for number in {(first + each) % ACCOUNTS for each in range(count)}:
            self.purchases += 1
            known = self.known[number]
            known.latest_ms, known.used_minor, known.currency = self.purchases, self.purchases % 7 - 3, currency * 3
            for accounts, account in self._both(number):
                account.latest_ms, account.used_minor = known.latest_ms, known.used_minor
                account.currency = known.currency
                accounts.touch(account)

    @rule(number=st.integers(0, ACCOUNTS - 1), at_ms=st.integers(1, 9))
    def set_limit(self, number: int, at_ms: int) -> None:
        for accounts, account in self._both(number):
            account.set_limit(100 * at_ms, "EUR", at_ms)
            accounts.agreed(account)
            self.known[number].limit = account.limit

    @rule(number=st.integers(0, ACCOUNTS - 1), repayment=st.integers(0, 3))
    def repay(self, number: int, repayment: int) -> None:
        for accounts, account in self._both(number):
            if account.repay(f"r-{repayment}", 5, account.currency or "EUR", {}):
                accounts.touch(account)
                accounts.agreed(account)
            known = self.known[number]
            known.used_minor, known.currency = account.used_minor, account.currency
            known.repayments = account.repayments

    @rule()
    def end_run(self) -> None:
        self.steady.end_run()
        self.shaken.end_run()

    @rule()
    def read_back(self) -> None:
        self.end_run()
        self.shaken.read_back()

    @invariant()
    def they_are_those_of_the_dict(self) -> None:
        for number, known in self.known.items():
            for _, account in self._both(number):
                found = (account.latest_ms, account.used_minor, account.currency, account.limit, account.repayments)
                assert found == (known.latest_ms, known.used_minor, known.currency, known.limit, known.repayments)
        assert self.shaken.state == self.steady.state

    def teardown(self) -> None:
        self.read_back()
        self.they_are_those_of_the_dict()
        records = sum(key[:1] == b"A" for key in self.steady.state)
        assert records <= ACCOUNTS
        # Each counts for more than an eighth of at least 16 accounts.
        assert self.steady.blocks() <= ACCOUNTS / 3


TestAccounts = Machine.TestCase
TestAccounts.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def bought(kept: Kept, numbers: range, at_ms: int) -> None:
    for number in numbers:
        account = kept.accounts.get(named(number))
        account.latest_ms = at_ms
        kept.accounts.touch(account)
    kept.end_run()


def test_a_run_that_changes_many_accounts_writes_one_record() -> None:
    kept = Kept()
    bought(kept, range(200), 1)
    assert len(kept.state) == 1
    bought(kept, range(3), 2)
    assert len(kept.state) == 4


def test_a_block_goes_when_it_counts_for_few_and_those_get_their_own_records() -> None:
    kept = Kept()
    bought(kept, range(80), 1)
    bought(kept, range(69), 2)
    assert kept.blocks() == 2
    bought(kept, range(60, 80), 3)
    assert kept.blocks() == 2, "the first counts for none"
    bought(kept, range(54), 4)
    assert [key[:1] for key in kept.state].count(b"A") == 6, "those of the second that count"
    kept.read_back()
    latest = [kept.accounts.get(named(number)).latest_ms for number in range(80)]
    assert latest == [4] * 54 + [2] * 6 + [3] * 20


def test_what_a_worker_wrote_that_had_lost_the_partition_is_not_taken_for_newer() -> None:
    owner, other = Kept(), Kept()
    purchases = [(named(number % 20), at_ms) for at_ms, number in enumerate(range(60), 1)]
    for kept, run in ((owner, 60), (other, 20)):
        for count, (account_id, at_ms) in enumerate(purchases, 1):
            account = kept.accounts.get(account_id)
            account.latest_ms = at_ms
            kept.accounts.touch(account)
            if count % run == 0:
                kept.end_run()
    for upto in (1, 2, 3):
        # The other was somewhat behind: what it wrote lies beside what the owner wrote, where keys differ.
        mixed = Kept()
        mixed.state = dict(list(other.state.items())[:upto]) | owner.state
        mixed.read_back()
        assert [mixed.accounts.get(named(number)).latest_ms for number in range(20)] == [*range(41, 61)]
