"""The agenda of reservations: as a sorted list of what the accounts' rows say would tell it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rules.account import Account
from rules.account_rows import TIME, looked_at_ms
from rules.reservation_agenda import Agenda
from rules.spans import NEVER_MS

HOUR_MS = 3_600_000
ACCOUNT_IDS = ("a", "b", "ä")

# Entered anew at a time, gone, or time passes.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sampled_from(ACCOUNT_IDS), st.integers(0, 5 * HOUR_MS)),
        st.tuples(st.just("leave"), st.sampled_from(ACCOUNT_IDS), st.just(0)),
        st.tuples(st.just("pass"), st.just(""), st.integers(0, HOUR_MS)),
        st.tuples(st.just("tidy"), st.just(""), st.just(0)),
    )
)


@given(steps)
def test_accounts_are_told_by_time_and_id_however_they_were_entered(steps: list[tuple[str, str, int]]) -> None:
    accounts = {account_id: Account(account_id) for account_id in ACCOUNT_IDS}
    agenda, now_ms = Agenda(accounts.get), 0
    for step, account_id, ms in steps:
        if step == "enter":
            accounts[account_id].rows = TIME.pack(ms)
            agenda.enter(accounts[account_id], ms)
        elif step == "leave":
            accounts[account_id].rows = b""
        elif step == "tidy":
            agenda.tidy()
            assert agenda.count <= len(ACCOUNT_IDS)
        now_ms += ms if step == "pass" else 0
        waiting = [each for each in accounts.values() if each.rows]
        due = sorted((looked_at_ms(each.rows), each.account_id) for each in waiting)
        assert agenda.next_ms <= (due[0][0] if due else NEVER_MS)
        for at_ms, due_id in due:
            if at_ms > now_ms:
                break
            assert agenda.first(now_ms) is accounts[due_id]
            accounts[due_id].rows = b""
        assert agenda.first(now_ms) is None
        assert agenda.next_ms > now_ms
