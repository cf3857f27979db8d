"""The hedged retry: every pair of what two gateways may do, and who is asked."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from streams.client import ConflictError, DecisionAnswer, StopbankClient, StopbankError, UnavailableError
from tests.streams.client.scripted import (
    MADE,
    Reply,
    ScriptedGateway,
    decision_text,
    problem_text,
    result_text,
    serving,
)
from tests.streams.client.test_client import client

REPLIES = {
    "answers": Reply,
    "is late": lambda: Reply(waits=True),
    "drops the connection": lambda: Reply(drops=True),
    "fails": lambda: Reply(503, problem_text(503)),
    "redirects": lambda: Reply(307, b"", {"Location": "/elsewhere"}),
    "answers no decision": lambda: Reply(body=b"{}"),
    "answers another's decision": lambda: Reply(body=decision_text(transaction_id="t-2")),
    "refuses": lambda: Reply(409, problem_text(409)),
}


def expected(first: str, second: str) -> tuple[type[DecisionAnswer] | type[StopbankError], int]:
    """What comes of it, and how many requests are sent."""
    final = {"answers": DecisionAnswer, "refuses": ConflictError}
    if first in final:
        return final[first], 1
    return final.get(second, UnavailableError), 2


@pytest.mark.parametrize(("first", "second"), list(product(REPLIES, repeat=2)))
async def test_the_first_usable_answer_is_taken_and_refusals_are_final(first: str, second: str) -> None:
    # Who is late is so beyond all patience, and for those alone is it short.
    options = {"hedge_after_ms": 100, "deadline_ms": 600, "grace_ms": 0} if "is late" in (first, second) else {}
    wanted, sent = expected(first, second)
    one, two = (ScriptedGateway(REPLIES[each]()) for each in (first, second))
    async with serving(one), serving(two), client(two, one, **options) as asked:
        try:
            outcome: object = await asked.decide(MADE)
        except StopbankError as error:
            outcome = error
    assert type(outcome) is wanted
    assert (len(one.seen), len(two.seen)) == (1, sent - 1)
    if isinstance(outcome, DecisionAnswer):
        assert outcome.attempt == sent


async def test_a_retry_repeats_the_request_and_has_what_is_left_of_the_deadline() -> None:
    late, prompt = ScriptedGateway(Reply(waits=True)), ScriptedGateway()
    async with serving(late), serving(prompt), client(prompt, late, hedge_after_ms=100) as asked:
        answer = await asked.decide(MADE)
    (first,), (second,) = late.seen, prompt.seen
    assert (answer.attempt, answer.url) == (2, prompt.url)
    assert first.body == second.body
    assert first.headers["Stopbank-Deadline-Ms"] == "20000"
    assert int(second.headers["Stopbank-Deadline-Ms"]) <= 19_900


async def test_an_attempt_that_is_overtaken_is_given_up() -> None:
    late = ScriptedGateway(Reply(waits=True))
    async with serving(late), serving() as prompt, client(prompt, late, hedge_after_ms=50) as asked:
        await asked.decide(MADE)
        await asyncio.wait_for(late.abandoned.wait(), 10)


async def test_a_slow_first_answer_that_comes_before_the_retry_s_is_taken() -> None:
    late, later = ScriptedGateway(Reply(waits=True)), ScriptedGateway(Reply(waits=True))
    async with serving(late), serving(later), client(later, late, hedge_after_ms=20) as asked:
        asking = asyncio.create_task(asked.decide(MADE))
        await later.arrived.wait()
        late.released.set()
        assert (await asking).attempt == 1


DEGRADED = ("default", "deadline")


async def test_a_degraded_answer_is_held_back_for_the_full_one_that_is_under_way() -> None:
    full, degraded = ScriptedGateway(Reply(waits=True)), ScriptedGateway(Reply(body=decision_text("block", DEGRADED)))
    async with serving(full), serving(degraded), client(degraded, full, hedge_after_ms=20) as asked:
        asking = asyncio.create_task(asked.decide(MADE))
        await degraded.arrived.wait()
        # The answer is in by the time that another one to the same gateway is.
        await asked.look_up("t-1")
        full.released.set()
        answer = await asking
    assert (answer.attempt, answer.tier, answer.decision.action) == (1, None, "approve")


@pytest.mark.parametrize("other", ["drops the connection", "fails", "refuses", "answers no decision"])
async def test_a_degraded_answer_is_taken_when_the_other_attempt_brings_none(other: str) -> None:
    late = ScriptedGateway(REPLIES[other]())
    late.otherwise.waits = True
    degraded = ScriptedGateway(Reply(body=decision_text("block", DEGRADED)))
    async with serving(late), serving(degraded), client(degraded, late, hedge_after_ms=20) as asked:
        asking = asyncio.create_task(asked.decide(MADE))
        await degraded.arrived.wait()
        await asked.look_up("t-1")
        late.released.set()
        answer = await asking
    assert (answer.attempt, answer.tier, answer.cause) == (2, *DEGRADED)


async def test_a_degraded_answer_is_taken_at_the_deadline() -> None:
    late, degraded = ScriptedGateway(Reply(waits=True)), ScriptedGateway(Reply(body=decision_text("block", DEGRADED)))
    times = {"hedge_after_ms": 20, "deadline_ms": 600}
    async with serving(late), serving(degraded), client(degraded, late, **times) as asked:
        answer = await asyncio.wait_for(asked.decide(MADE), 15)
    assert (answer.attempt, answer.tier) == (2, "default")


async def test_of_two_degraded_answers_the_first_is_taken() -> None:
    late, prompt = (
        ScriptedGateway(Reply(body=decision_text(action, DEGRADED), waits=waits))
        for action, waits in (("block", True), ("flag", False))
    )
    async with serving(late), serving(prompt), client(prompt, late, hedge_after_ms=20) as asked:
        asking = asyncio.create_task(asked.decide(MADE))
        await prompt.arrived.wait()
        await asked.look_up("t-1")
        late.released.set()
        assert (await asking).decision.action == "flag"


async def test_a_degraded_answer_before_the_retry_sets_out_is_taken_at_once() -> None:
    degraded, other = ScriptedGateway(Reply(body=decision_text("block", DEGRADED))), ScriptedGateway()
    async with serving(degraded), serving(other), client(other, degraded, hedge_after_ms=10_000) as asked:
        assert (await asyncio.wait_for(asked.decide(MADE), 8)).tier == "default"
    assert other.seen == []


async def test_a_settlement_that_waits_is_held_back_for_the_one_that_is_applied() -> None:
    late = ScriptedGateway(Reply(200, result_text(), waits=True))
    waiting = ScriptedGateway(Reply(202, result_text("waiting")))
    async with serving(late), serving(waiting), client(waiting, late, hedge_after_ms=20) as asked:
        asking = asyncio.create_task(asked.capture("t-1", "a-1"))
        await waiting.arrived.wait()
        await asyncio.sleep(0.1)
        late.released.set()
        assert (await asking).applied


async def test_one_address_is_tried_twice() -> None:
    gateway = ScriptedGateway(script=[Reply(drops=True)])
    async with serving(gateway), client(gateway) as asked:
        assert (await asked.decide(MADE)).attempt == 2
    assert len(gateway.seen) == 2


async def test_a_gateway_that_is_gone_is_asked_last_for_a_moment() -> None:
    async with serving() as gone:
        url = gone.url
    async with serving() as there, StopbankClient([url, there.url], "sb_1_a", deadline_ms=20_000) as asked:
        attempts = [(await asked.decide(MADE)).attempt for _ in range(6)]
    assert attempts.count(2) == 1


async def test_no_retry_sets_out_past_the_deadline() -> None:
    late = ScriptedGateway(Reply(waits=True))
    other = ScriptedGateway()
    impatient = {"deadline_ms": 50, "hedge_after_ms": 100, "grace_ms": 200}
    async with serving(late), serving(other), client(other, late, **impatient) as asked:
        with pytest.raises(UnavailableError, match=r"attempt 1: .*: no answer"):
            await asked.decide(MADE)
    assert other.seen == []


async def test_an_answer_within_the_grace_is_taken() -> None:
    late = ScriptedGateway(Reply(waits=True))
    async with serving(late), client(late, deadline_ms=50, hedge_after_ms=10_000) as asked:
        asking = asyncio.create_task(asked.decide(MADE))
        await asyncio.sleep(0.2)
        late.released.set()
        assert (await asking).attempt == 1


async def test_a_caller_that_gives_up_ends_the_attempts() -> None:
    one, two = ScriptedGateway(Reply(waits=True)), ScriptedGateway(Reply(waits=True))
    async with serving(one), serving(two), client(one, two, hedge_after_ms=10) as asked:
        asking = asyncio.create_task(asked.decide(MADE))
        await one.arrived.wait()
        await two.arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        for gateway in (one, two):
            await asyncio.wait_for(gateway.abandoned.wait(), 10)
