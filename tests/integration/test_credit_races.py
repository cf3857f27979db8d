"""Two purchases race for the last credit of one account, through two gateways at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from models.purchase import Purchase, decode_purchase
from tests.integration.conftest import Tell
from tests.integration.gateway_traffic import Checkout, Reply
from tests.integration.gateways import Gateways
from tests.integration.line import Line
from tests.integration.shopping import Sent

RACES = 1_000
AT_ONCE = 50
LIMIT = 10_000
RACER, REST = 6_000, 4_000
# Whoever waits this long gets the full decision or none: nothing here is to be approved without one.
DEADLINE_MS = 30_000
RULES = """
ruleset: checkout
currency: CNY
rules:
  - {id: over-credit, when: amount > available_credit, then: block, final: true}
"""


def purchase_of(account: str, name: str, amount: int) -> Purchase:
    return decode_purchase(
        orjson.dumps(
            {
                "transaction_id": f"{account}-{name}",
                "account_id": account,
                "amount": amount,
                "currency": "CNY",
                "event_time": int(time.time() * 1000),
                "merchant_id": "m-1",
                "mcc": "5411",
            }
        )
    )


def credit_limits(accounts: Sequence[str]) -> list[Sent]:
    now_ms = int(time.time() * 1000)
    limit = {"credit_limit": LIMIT, "currency": "CNY", "event_time": now_ms}
    return [Sent("accounts", each.encode(), orjson.dumps({"account_id": each, **limit})) for each in accounts]


async def race(checkout: Checkout, account: str) -> None:
    """Both racers go to both gateways at the same time; then the account is asked what it has left."""
    racers = [purchase_of(account, name, RACER) for name in ("left", "right")]
    replies = await asyncio.gather(
        *(checkout.send(racer, (number + hop) % 2) for hop in (0, 1) for number, racer in enumerate(racers))
    )
    for reply in replies:
        _verify_full(reply)
    texts = {number: {reply.text for reply in replies[number::2]} for number in (0, 1)}
    assert [len(said) for said in texts.values()] == [1, 1], f"two answers to one transaction: {texts}"
    actions = sorted(reply.action for reply in replies)
    assert actions == ["approve", "approve", "block", "block"], f"{account}: {actions}"
    # It counted once, though it was sent twice: exactly the rest is left, and then nothing.
    for name, amount, action in (("rest", REST, "approve"), ("more", 1, "block")):
        reply = await checkout.send(purchase_of(account, name, amount), 0)
        _verify_full(reply)
        assert reply.action == action, f"{account}: {amount} is answered {reply.text!r}"


def _verify_full(reply: Reply) -> None:
    assert reply.status == 200, reply
    assert not reply.degraded, reply


@pytest.mark.needs_kafka
@pytest.mark.timeout(180)
async def test_two_purchases_never_both_get_the_last_credit(kafka: str, tmp_path: Path, tell: Tell) -> None:
    line = Line(kafka, "races")
    await line.set_up(RULES)
    accounts = [f"a-{number}" for number in range(RACES)]
    with line.workers(tmp_path) as workers, Gateways(line, tmp_path) as gateways:
        workers.start(2)
        urls = [(await gateways.started(DEFAULT_ANSWERS="block")).url for _ in range(2)]
        await line.send(credit_limits(accounts))
        await line.finish(workers, 60)
        began_s = time.monotonic()
        async with Checkout(urls, str(gateways.shown), deadline_ms=DEADLINE_MS) as checkout:
            places = asyncio.Semaphore(AT_ONCE)

            async def run(account: str) -> None:
                async with places:
                    await race(checkout, account)

            await asyncio.gather(*(run(account) for account in accounts))
        tell(f"{RACES} races in {time.monotonic() - began_s:.0f} s")
        workers.stop()
