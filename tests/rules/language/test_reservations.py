"""`reservations` in a rule file: what may stand there, what is said of what may not, and what it changes."""

from __future__ import annotations

import pytest

from rules.language.check import check_text
from rules.language.compile import compile_ruleset

RULES = "ruleset: a\nrules: [{id: r, when: amount > 5.00, then: flag}]\n"


DURATION = "a duration like `7d`, of 90d at most"


def messages(more: str) -> list[str]:
    said = check_text(more + RULES, "f").diagnostics
    return [f"{each.line}:{each.column} {each.message} ({each.suggestion})" for each in said]


@pytest.mark.parametrize(("written", "meant_ms"), [("7d", 604_800_000), ("90d", 7_776_000_000), ("36h", 129_600_000)])
def test_reservations_expire_after_a_duration(written: str, meant_ms: int) -> None:
    assert compile_ruleset(f"reservations: {{expire_after: {written}}}\n{RULES}").plan.expire_after_ms == meant_ms
    assert messages(f"reservations: {{expire_after: {written}}}\n") == []


def test_without_it_they_never_do() -> None:
    assert compile_ruleset(RULES).plan.expire_after_ms is None


def test_it_is_part_of_the_version() -> None:
    texts = [RULES, f"reservations: {{expire_after: 7d}}\n{RULES}", f"reservations: {{expire_after: 8d}}\n{RULES}"]
    assert len({compile_ruleset(text).version for text in texts}) == 3


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{expire_after: 91d}", f"1:30 `expire_after`: is at most 90d ({DURATION})"),
        ("{expire_after: 2161h}", f"1:30 `expire_after`: is at most 90d ({DURATION})"),
        (
            "{expire_after: soon}",
            f"1:30 `expire_after`: is not in the right form ({DURATION})",
        ),
        ("{expire_after: 0d}", f"1:30 `expire_after`: is not in the right form ({DURATION})"),
        ("{expires: 7d}", "1:16 unknown key `expires` (did you mean `expire_after`?)"),
        ("{}", f"1:15 `expire_after` is missing ({DURATION})"),
        ("7d", "1:15 `reservations`: is not a mapping (like `{expire_after: 7d}`)"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(written: str, said: str) -> None:
    assert said in messages(f"reservations: {written}\n")


def test_expiry_within_the_allowed_lateness_is_warned_of() -> None:
    (said,) = messages("reservations: {expire_after: 23h}\n")
    assert said.startswith("1:30 a purchase may be 24h late, and its reservation expires as it is decided")
    assert messages("allowed_lateness: 1h\nreservations: {expire_after: 1h}\n") == []
