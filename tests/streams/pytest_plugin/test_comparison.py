"""What is said of decisions that are not those of a golden file."""

from __future__ import annotations

from typing import Any

import pytest

from streams.pytest_plugin.comparison import compare, parse


def decision(number: int, action: str = "approve", **changes: object) -> dict[str, Any]:
    fields = {"transaction_id": f"t-{number}", "action": action, "ruleset": "checkout", "ruleset_version": "1"}
    return {**fields, **changes}


def many(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [decision(number, **changes) for number in range(1, count + 1)]


def test_of_the_same_decisions_nothing_is_said() -> None:
    assert compare(many(3), many(3)) == ""


def test_missing_and_extra_ones_are_counted_and_named() -> None:
    golden, now = many(30), [*many(13), decision(40), decision(41)]
    names = ", ".join(f"t-{number}" for number in range(14, 24))
    assert compare(golden, now).splitlines() == [
        "of 30 decisions 17 missing, 2 extra",
        f"missing: {names}, and 7 more",
        "extra: t-40, t-41",
    ]


def test_at_most_ten_are_shown_those_with_another_action_first() -> None:
    golden = many(20)
    now = [decision(number, amount=1) for number in range(1, 20)] + [decision(20, "block")]
    lines = compare(golden, now).splitlines()
    assert lines[:3] == [
        "of 20 decisions 20 differ (1 in what is done)",
        "t-20: action: golden approve, now block",
        "t-1: amount: golden absent, now 1",
    ]
    assert lines[10:] == ["t-9: amount: golden absent, now 1", "and 10 more decisions that differ"]


def test_of_one_decision_five_places_are_shown() -> None:
    lines = compare([decision(1, features=[0] * 9)], [decision(1, features=[1] * 9)]).splitlines()
    assert lines[1] == "t-1: features[0]: golden 0, now 1"
    assert lines[5:] == ["t-1: features[4]: golden 0, now 1", "t-1: and 4 more"]


def test_a_new_version_of_the_rules_is_told_once() -> None:
    now = [decision(1, "block", ruleset_version="2"), decision(2, ruleset_version="2")]
    assert compare(many(2), now).splitlines() == [
        "of 2 decisions 1 differ (1 in what is done)",
        "every decision: rules: golden checkout 1, now checkout 2",
        "t-1: action: golden approve, now block",
    ]


def test_versions_that_differ_among_the_decisions_are_told_of_each() -> None:
    now = [decision(1), decision(2, ruleset_version="2")]
    assert "t-2: ruleset_version: golden 1, now 2" in compare(many(2), now).splitlines()


def test_an_id_that_comes_again_after_a_day_is_another_decision() -> None:
    golden = [decision(1), decision(1)]
    assert "t-1 (number 2): action: golden approve, now block" in compare(golden, [decision(1), decision(1, "block")])
    assert compare(golden, [decision(1)]).splitlines()[-1] == "missing: t-1 (number 2)"


def test_another_order_is_told_from_its_first_place_on() -> None:
    now = [decision(1), decision(3), decision(2)]
    assert compare(many(3), now) == "the same decisions in another order, from number 2 on: golden t-2, now t-3"


@pytest.mark.parametrize("line", [b"", b"[]", b"1", b"{", b'{"transaction_id":"t-1"}', b"\xff"])
def test_a_line_that_is_no_decision_is_none(line: bytes) -> None:
    assert parse(line) is None
