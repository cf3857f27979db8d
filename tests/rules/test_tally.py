"""Tallies: what desks decided, by what was said."""

from __future__ import annotations

from collections import Counter

from models.decision import Action, Decision
from rules.tally import Tally
from tests.models.test_decision import REASON


def decision(action: Action, **changes: object) -> Decision:
    plain = Decision(
        "t-1", "a-1", action, [], [], None, [], {}, "checkout", "v1", 500, "CNY", 0, late=False, degraded=[]
    )
    return plain._replace(**changes)


def test_decisions_are_counted_by_action_and_by_rule_until_the_tally_begins_anew() -> None:
    tally = Tally()
    tally.plain += 3
    tally.note(decision(Action.APPROVE, late=True, shadow=[REASON]))
    tally.note(decision(Action.BLOCK, reasons=[REASON, REASON._replace(rule="other")]))

    assert tally.by_action() == Counter(approve=4, block=1)
    assert tally.late == 1
    assert tally.rule_hits == {(REASON.rule, "shadow"): 1, (REASON.rule, "live"): 1, ("other", "live"): 1}

    tally.clear()

    assert (tally.by_action(), tally.rule_hits, tally.late) == (Counter(), {}, 0)
