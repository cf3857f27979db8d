"""The state of first decisions: whatever the runs were and whenever it is read back, the same ones are found."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.decision import Decision
from rules import block_log, decided
from rules.block_log import KEEP_MS
from rules.entity import transaction_hash
from tests.models.test_decision import REASON
from tests.rules.test_decided import START_MS, Kept, Oracle, approval, first_of, flagged


class Step(NamedTuple):
    """A decision, and what happens to the state behind it."""

    number: int
    account: int
    is_flagged: bool
    later_ms: int
    late_ms: int
    ends_run: bool
    is_read_back: bool


STEPS = st.lists(
    st.builds(
        Step,
        number=st.integers(0, 15),
        account=st.sampled_from([0, 0, 0, 1, 2, 3]),
        is_flagged=st.booleans(),
        later_ms=st.sampled_from([0, 1, KEEP_MS // 10, KEEP_MS // 2, KEEP_MS + 1]),
        late_ms=st.sampled_from([0, 0, KEEP_MS // 2, 2 * KEEP_MS]),
        ends_run=st.booleans(),
        is_read_back=st.booleans(),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 7), st.integers(1, 6), st.integers(1, 12))
def test_the_same_is_kept_however_runs_are_cut_and_whenever_it_is_read_back(
    steps: list[Step], full: int, per_account: int, in_all: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_log, "KEEP_IN_ALL", in_all)
        patch.setattr(block_log, "_FULL", full)
        patch.setattr(block_log, "_CUT", 3)
        patch.setattr(decided, "KEEP_PER_ACCOUNT", per_account)
        kept, oracle, now_ms = Kept(), Oracle(per_account, in_all), START_MS
        asked: dict[tuple[str, str], Decision] = {}
        for step in steps:
            now_ms += step.later_ms
            make = flagged if step.is_flagged else approval
            decision = make(step.number, f"a-{step.account}", now_ms - step.late_ms)
            if any(each[:2] == decision[:2] for each in oracle.kept):
                continue
            asked[decision[:2]] = decision
            kept.keep(decision, now_ms)
            oracle.keep(decision, now_ms)
            if step.ends_run:
                kept.end_run()
                if step.is_read_back:
                    kept.read_back()
            found = {each for each in map(kept.find, asked.values()) if each is not None}
            assert found == {first_of(each) for each in oracle.kept}
        for transaction_id in {each for each, _ in asked}:
            earliest = next((each for each in oracle.kept if each.transaction_id == transaction_id), None)
            expected = first_of(earliest) if earliest is not None else None
            assert kept.decided.find_in_all(transaction_hash(transaction_id)) == expected


def test_who_never_asks_for_the_state_has_blocks_too_and_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_log, "_FULL", 10)
    monkeypatch.setattr(block_log, "KEEP_IN_ALL", 50)
    kept = Kept()
    for number in range(1_000):
        kept.keep(approval(number, f"a-{number}"))
    assert [kept.find(approval(number, f"a-{number}")) is not None for number in (949, 950)] == [False, True]
    kept.end_run()
    assert len(kept.blocks) == 5
    kept.read_back()
    assert [kept.find(approval(number, f"a-{number}")) is not None for number in (949, 950)] == [False, True]


def test_what_decisions_have_in_common_goes_with_the_last_of_them_and_comes_again_with_the_next() -> None:
    kept = Kept()
    for number, make in enumerate([flagged, approval, approval, flagged]):
        at_ms = START_MS + number * (KEEP_MS + 1)
        kept.keep(make(number, "a-1", at_ms), at_ms)
        kept.end_run()
        assert (REASON.code.encode() in b"".join(kept.state.values())) is (make is flagged)
        assert len(kept.state) == 2
        if number % 2:
            kept.read_back()
    again = flagged(9, "a-2", START_MS + 4 * KEEP_MS)
    kept.keep(again, again.event_time)
    assert kept.find(again) == first_of(again)


def test_what_gone_decisions_had_in_common_may_be_missing() -> None:
    kept = Kept()
    kept.keep(flagged(0, "a-1"))
    kept.keep(approval(1, "a-2", START_MS + KEEP_MS), START_MS + KEEP_MS)
    kept.end_run()
    (shape,) = [key for key, raw in kept.state.items() if key[:1] == b"E" and REASON.code.encode() in raw]
    del kept.state[shape]
    kept.read_back()
    later_ms = START_MS + KEEP_MS + 1
    kept.keep(approval(2, "a-2", later_ms), later_ms)
    assert kept.find(approval(1, "a-2", START_MS + KEEP_MS)) is not None
    kept.keep(approval(3, "a-2", later_ms + KEEP_MS), later_ms + KEEP_MS)
    kept.end_run()
    assert len(kept.state) == 2


def test_without_one_of_its_blocks_the_others_are_read_back() -> None:
    kept = Kept()
    for number in range(6):
        kept.keep(approval(number, f"a-{number % 2}"))
        if number % 2:
            kept.end_run()
    del kept.state[sorted(key for key in kept.state if key[:1] == b"D")[1]]
    kept.read_back()
    found = [kept.find(approval(number, f"a-{number % 2}")) is not None for number in range(6)]
    assert found == [True, True, False, False, True, True]
    kept.keep(approval(9))
    assert kept.find(approval(9)) == first_of(approval(9))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=30), st.data())
def test_what_two_workers_wrote_in_their_own_runs_is_kept_once(
    decisions: list[tuple[int, bool, bool]], data: st.DataObject
) -> None:
    owner, other = Kept(), Kept()
    shared = data.draw(st.integers(0, len(decisions)))
    asked: list[Decision] = []
    for number, (account, owner_ends, other_ends) in enumerate(decisions):
        asked.append(approval(number, f"a-{account}"))
        owner.keep(asked[-1])
        if owner_ends:
            owner.end_run()
        if number < shared:
            other.keep(asked[-1])
            if other_ends:
                other.end_run()
    owner.end_run()
    owner.state = other.state | owner.state
    owner.read_back()
    assert [owner.find(each) for each in asked] == [first_of(each) for each in asked]
    owner.end_run()
    owner.keep(approval(99, "a-0"))
    owner.end_run()
    owner.read_back()
    asked.append(approval(99, "a-0"))
    assert [owner.find(each) for each in asked] == [first_of(each) for each in asked]
