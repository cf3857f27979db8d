"""The rules that a gateway answers by: whatever following them fails of, it goes on answering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rules.degraded import DegradedAnswers, parse_bands
from rules.language.compile import CompiledRuleset
from streams.gateway import rules
from streams.gateway.rules import follow_rules, keep_answering
from streams.rulesets import Registry
from streams.settings import Settings
from streams.topics import TopicsError
from tests.streams.gateway.conftest import RULES


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if true():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not become true")


@pytest.mark.parametrize(
    ("failure", "level"), [(TopicsError("missing"), "info"), (IndexError("of the client's own"), "error")]
)
async def test_whatever_reading_rules_fails_of_they_are_read_again(
    monkeypatch: pytest.MonkeyPatch, logged: list[Any], failure: Exception, level: str
) -> None:
    reads = 0

    async def failing(*_: object, **__: object) -> None:
        nonlocal reads
        reads += 1
        if reads <= 2:
            raise failure
        await asyncio.Event().wait()

    monkeypatch.setattr(rules, "follow", failing)
    monkeypatch.setattr(rules, "_RETRY_S", 0.001)
    settings = Settings()
    following = asyncio.create_task(follow_rules(settings, Registry(settings.ruleset)))
    await until(lambda: reads == 3 or following.done())
    assert not following.done()
    assert [line["log_level"] for line in logged] == [level] * 2
    following.cancel()


class Published(Registry):
    """Has one ruleset in force, and tells of changes when told to."""

    def in_force(self) -> CompiledRuleset:
        return RULES


async def test_a_ruleset_that_cannot_be_answered_by_leaves_the_one_before_it(
    monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    def failing(_: object) -> None:
        raise ValueError("not this one")

    answers = DegradedAnswers(parse_bands("approve"))
    monkeypatch.setattr(answers, "use", failing)
    answering = asyncio.create_task(keep_answering(Published("checkout"), answers))
    await until(lambda: bool(logged) or answering.done())
    await asyncio.sleep(0)
    assert not answering.done()
    assert [line["log_level"] for line in logged] == ["error"]
    answering.cancel()
