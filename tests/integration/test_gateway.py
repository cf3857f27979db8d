"""Gateways and workers on a broker: whole decisions through any gateway, each as if there were one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from models.decision import decode_decision
from tests.integration.gateways import RULES, WORKERS, Caller, Gateway, Gateways, purchase
from tests.integration.line import Line, until

pytestmark = pytest.mark.timeout(240)


@dataclass
class Shop:
    """Two gateways, which listen on the same partition of replies, and the workers behind them."""

    line: Line
    gateways: Gateways
    one: Gateway
    other: Gateway

    def caller(self) -> Caller:
        return self.gateways.caller()


@pytest.fixture(scope="module")
def shop(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All of it up, and warm."""
    line, folder = Line(kafka, "gateway"), tmp_path_factory.mktemp("gateway")
    with Gateways(line, folder) as gateways, line.workers(folder) as workers:

        async def set_up() -> Shop:
            await line.set_up(RULES)
            workers.start(WORKERS)
            one, other = [await gateways.started(REPLY_PARTITION="0") for _ in range(2)]
            async with gateways.caller() as caller:
                for gateway in (one, other):
                    for _ in range(4):
                        await caller.until_decided(gateway, purchase())
            return Shop(line, gateways, one, other)

        yield asyncio.run(set_up())
        faults = [code for code in workers.reap() if code]
        assert not faults, workers.log_text()


async def test_a_purchase_gets_its_full_decision_and_every_gateway_gives_the_same_bytes(shop: Shop) -> None:
    asked = purchase()
    async with shop.caller() as caller:
        first = await caller.decide(shop.one, asked)
        again = [await caller.decide(gateway, asked) for gateway in (shop.one, shop.other)]
    decision = decode_decision(first.text)
    assert (first.status, first.degraded) == (200, None)
    assert (decision.transaction_id, decision.action, decision.degraded) == (asked["transaction_id"], "approve", [])
    assert decision.features["count(account_id, 10m)"] == 1
    assert [(answer.text, answer.degraded) for answer in again] == [(first.text, None)] * 2


async def test_many_purchases_at_once_each_get_their_own_decision(shop: Shop) -> None:
    asked = [purchase(amount=number + 1) for number in range(120)]
    async with shop.caller() as caller:
        answers = await asyncio.gather(
            *(caller.decide([shop.one, shop.other][number % 2], one) for number, one in enumerate(asked))
        )
    assert [answer.body["transaction_id"] for answer in answers] == [one["transaction_id"] for one in asked]
    assert {answer.degraded for answer in answers} == {None}


async def test_repeats_at_the_same_moment_count_once(shop: Shop) -> None:
    asked = purchase()
    async with shop.caller() as caller:
        repeats = [caller.decide(gateway, asked) for gateway in (shop.one, shop.other) for _ in range(4)]
        answers = await asyncio.gather(*repeats)
        after = await caller.decide(shop.one, purchase(account_id=asked["account_id"]))
    assert len({answer.text for answer in answers}) == 1
    assert after.body["features"]["count(account_id, 10m)"] == 2


async def test_the_same_id_with_another_body_is_a_conflict_that_names_the_fields(shop: Shop) -> None:
    asked = purchase()
    async with shop.caller() as caller:
        await caller.decide(shop.one, asked)
        answer = await caller.decide(shop.other, {**asked, "amount": 1, "mcc": "5999"})
    assert answer.status == 409
    assert {"amount", "mcc"} == {error["field"] for error in answer.body["errors"]}


async def test_what_workers_refuse_is_told(shop: Shop) -> None:
    async with shop.caller() as caller:
        answer = await caller.decide(shop.one, purchase(currency="ISK"))
    assert answer.status == 422
    assert "ISK" in answer.body["detail"]


async def test_a_decision_is_found_again_with_its_account_and_without(shop: Shop) -> None:
    asked = purchase()
    transaction, account = asked["transaction_id"], asked["account_id"]
    async with shop.caller() as caller:
        given = await caller.decide(shop.one, asked)
        with_account = await caller.look_up(shop.other, transaction, account)
        without = await caller.look_up(shop.other, transaction)
        elsewhere = await caller.look_up(shop.other, transaction, "a-nobody")
        unknown = await caller.look_up(shop.other, "t-never")
    assert (with_account.status, with_account.text) == (200, given.text)
    assert (without.status, without.text) == (200, given.text)
    assert (elsewhere.status, unknown.status) == (404, 404)


async def test_an_answer_that_comes_too_late_is_counted(shop: Shop) -> None:
    asked = purchase()
    late = "stopbank_gateway_late_replies_total"
    before = shop.one.metrics()[(late,)]
    async with shop.caller() as caller:
        answer = await caller.decide(shop.one, asked, deadline_ms=1)
        assert (answer.tier, answer.cause) == ("default", "deadline")
        await until(lambda: shop.one.metrics()[(late,)] > before, "the late reply", 30)
        assert (await caller.until_decided(shop.one, asked)).body["degraded"] == []


async def test_the_status_tells_the_rules_and_the_breaker(shop: Shop) -> None:
    async with shop.caller() as caller:
        status = (await caller.call(shop.one, "GET", "/v1/status")).body
    assert status["ruleset"].startswith("checkout@")
    assert (status["breaker"], status["more"]["connected"], status["more"]["reply_partition"]) == ("closed", True, 0)
