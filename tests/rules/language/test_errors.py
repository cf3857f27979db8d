"""Errors in rule files, as they are shown: file, line, column, a caret under the place, often a suggestion.

`golden/expressions.txt` holds what is said of conditions: the source line in each message is the condition.
`golden/files.txt` holds rule files, each with what is said of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.language.compile import compile_ruleset
from rules.language.diagnostics import RulesetError

GOLDEN = Path(__file__).parent / "golden"
EXPRESSIONS = (GOLDEN / "expressions.txt").read_text(encoding="utf-8").strip("\n").split("\n\n")
FILES = [
    (source, said.strip("\n"))
    for example in (GOLDEN / "files.txt").read_text(encoding="utf-8").split("\n=====\n")
    for source, said in [example.split("-----\n")]
]


def said_of(source: str) -> str:
    with pytest.raises(RulesetError) as caught:
        compile_ruleset(source, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize("said", EXPRESSIONS, ids=lambda said: said.splitlines()[1].partition("|")[2].strip())
def test_what_is_wrong_with_a_condition_is_said_with_its_place(said: str) -> None:
    when = said.splitlines()[1].partition("|")[2].strip()
    source = f"ruleset: a\nlists: {{risky: [a]}}\nrules:\n- when: >-\n    {when}\n  id: b\n  then: flag\n"
    assert said_of(source) == said


@pytest.mark.parametrize(("source", "said"), FILES, ids=[said.partition("error: ")[2][:50] for _, said in FILES])
def test_what_is_wrong_with_a_file_is_said_with_its_place(source: str, said: str) -> None:
    assert said_of(source) == said


def test_every_error_is_said_at_once_in_the_order_of_the_text() -> None:
    said = said_of(
        "ruleset: a\nrules:\n- {id: b, when: amuont > 5, then: deny}\n- {id: c, when: hour >, then: flag, mode: off}\n"
    )
    places = [line.partition(": error")[0] for line in said.splitlines() if ": error" in line]
    assert places == ["f.yaml:3:17", "f.yaml:3:35", "f.yaml:4:23", "f.yaml:4:43"]


def test_a_byte_order_mark_and_windows_line_ends_are_read_over() -> None:
    text = "\ufeffruleset: a\r\nrules:\r\n- {id: b, when: amount > 5, then: flag}\r\n"
    assert compile_ruleset(text).id == "a"
    assert said_of(text.replace("amount", "amuont")).startswith("f.yaml:3:17: error: unknown field `amuont`")


def test_the_place_in_a_very_long_line_is_shown_with_what_is_around_it() -> None:
    when = " or ".join(["amount > 5"] * 150 + ["amuont > 5"] + ["amount > 6"] * 50)
    said = said_of(f"ruleset: a\nrules:\n- {{id: b, when: {when}, then: flag}}\n").splitlines()
    assert len(said[1]) < 220
    assert said[1][said[2].index("^") :].startswith("amuont > 5")
    assert said[1].count("…") == 2
