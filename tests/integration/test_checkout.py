"""Checkout as its integrator meets it: two gateways, a worker, a broker; the client, and the examples as they are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.purchase import Purchase
from streams.broker.broker import HOST, free_port
from streams.client import ConflictError, RefusedError, StopbankClient, UnauthorizedError
from streams.gateway.api_key import KeyScope
from streams.gateway.key_file import KeyFile, new_key
from tests.integration.commands import PROJECT, RULES, Stopbank, fetched, wait_until
from tests.programs import node, program

EXAMPLES = PROJECT / "examples" / "checkout"
PATIENT_MS = 20_000
# Passes the Luhn check, and is nobody's.
CARD_NUMBER = "4242424242424242"


@dataclass(frozen=True)
class Checkout:
    """Where the gateways are, and the key that they know."""

    urls: tuple[str, ...]
    key: str

    def client(self, *urls: str, key: str | None = None) -> StopbankClient:
        # Long, for machines that stand still now and then.
        return StopbankClient(urls or self.urls, key or self.key, deadline_ms=PATIENT_MS, hedge_after_ms=PATIENT_MS)

    def run(self, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program as its reader would."""
        here = {"STOPBANK_URL": self.urls[0], "STOPBANK_KEY": self.key, "PYTHONPATH": str(PROJECT)}
        here["DEADLINE_MS"] = str(PATIENT_MS)
        return subprocess.run(
            [str(word) for word in command],
            env={**os.environ, **here, **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def checkout(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("checkout")
    made, shown = new_key([KeyScope.DECIDE], datetime.now(UTC), "tests")
    KeyFile(folder / "keys.yaml").create(made)
    stopbank = Stopbank(kafka)
    stopbank.done("topics", "create", "--partitions", 2)
    stopbank.done("rules", "publish", RULES / "checkout.yaml")
    urls: list[str] = []
    with ExitStack() as stack:
        for number, command in enumerate(("worker", "gateway", "gateway")):
            port, probes = free_port(), free_port()
            own = {
                "STOPBANK_HTTP_PORT": str(probes),
                "STOPBANK_GATEWAY_HOST": HOST,
                "STOPBANK_GATEWAY_PORT": str(port),
                "STOPBANK_GATEWAY_KEYS_FILE": str(folder / "keys.yaml"),
                "STOPBANK_GATEWAY_LINGER_S": "0",
            }
            log = stack.enter_context((folder / f"{command}-{number}.log").open("wb"))
            process = Stopbank(kafka, own, stopbank.prefix).start(command, log=log)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            wait_until(lambda probes=probes: fetched(probes, "/readyz")[0] == 200, f"a ready {command}", process)
            urls += [f"http://{HOST}:{port}"] if command == "gateway" else []
        yield Checkout(tuple(urls), str(shown))


def purchase(**changes: Any) -> Purchase:
    fields = {
        "transaction_id": f"t-{uuid.uuid4()}",
        "account_id": f"a-{uuid.uuid4()}",
        "amount": 19_900,
        "currency": "CNY",
        "event_time": time.time_ns() // 1_000_000,
        "merchant_id": "m-1001",
        "mcc": "5411",
    }
    return Purchase.model_validate({**fields, **changes})


async def test_the_same_purchase_gets_the_same_decision_from_every_gateway(checkout: Checkout) -> None:
    bought = purchase()
    decisions: list[object] = []
    for url in checkout.urls:
        async with checkout.client(url) as client:
            answer = await client.decide(bought)
            assert not answer.degraded
            assert answer.request_id
            found = await client.look_up(bought.transaction_id, bought.account_id)
            assert found is not None
            decisions += [answer.decision, found.decision]
    assert all(decision == decisions[0] for decision in decisions)


async def test_another_body_under_the_same_id_is_a_conflict_that_names_the_fields(checkout: Checkout) -> None:
    bought = purchase()
    async with checkout.client() as client:
        await client.decide(bought)
        with pytest.raises(ConflictError) as caught:
            await client.decide(bought.model_copy(update={"amount": 29_900, "mcc": "5732"}))
    assert set(caught.value.fields) == {"amount", "mcc"}


async def test_an_unknown_transaction_is_told_with_its_account_and_without(checkout: Checkout) -> None:
    async with checkout.client() as client:
        assert await client.look_up("t-never", "a-nobody") is None
        assert await client.look_up("t-never") is None


async def test_ids_with_slashes_and_letters_of_all_the_world_find_their_way(checkout: Checkout) -> None:
    bought = purchase(transaction_id=f"t/Ä?{uuid.uuid4()}/..", account_id="a&小明=1")
    async with checkout.client() as client:
        decision = (await client.decide(bought)).decision
        found = await client.look_up(bought.transaction_id, bought.account_id)
    assert found is not None
    assert found.decision == decision


async def test_a_purchase_lives_from_capture_to_refund(checkout: Checkout) -> None:
    bought, other = purchase(), purchase()
    async with checkout.client() as client:
        for each in (bought, other):
            assert (await client.decide(each)).decision.action == "approve"
        captured = await client.capture(bought.transaction_id, bought.account_id, amount=10_000, currency="CNY")
        refunded = await client.refund(bought.transaction_id, bought.account_id, "f-1")
        voided = await client.void(other.transaction_id, other.account_id)
        with pytest.raises(ConflictError) as caught:
            await client.capture(other.transaction_id, other.account_id)
    assert [each.result.state for each in (captured, refunded, voided)] == ["captured", "refunded", "voided"]
    assert (captured.result.captured, refunded.result.refunded) == (10_000, 10_000)
    assert caught.value.code


async def test_a_card_number_is_refused_by_its_field_and_not_repeated(checkout: Checkout) -> None:
    async with checkout.client() as client:
        with pytest.raises(RefusedError) as caught:
            await client.decide(purchase(attributes={"note": CARD_NUMBER}))
    assert caught.value.problem.type == "urn:stopbank:problem:card-number"
    assert "note" in str(caught.value)
    assert CARD_NUMBER not in str(caught.value)


async def test_a_key_that_nobody_knows_is_refused(checkout: Checkout) -> None:
    async with checkout.client(key="sb_nobody_secret") as client:
        with pytest.raises(UnauthorizedError):
            await client.decide(purchase())


# -- the examples -----------------------------------------------------------------------------------


def example(language: str) -> tuple[object, ...]:
    return (sys.executable, EXAMPLES / "checkout.py") if language == "python" else (node(), EXAMPLES / "checkout.mjs")


def test_the_example_with_curl_runs(checkout: Checkout) -> None:
    program("curl")
    ran = checkout.run("sh", EXAMPLES / "curl.sh")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [line.partition(":")[0] for line in ran.stdout.splitlines() if not line.isdecimal()] == [
        "decided",
        "the same again",
        "another amount",
        "looked up",
        "captured",
    ]


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_examples_that_are_programs_take_a_purchase_through(checkout: Checkout, language: str) -> None:
    ran = checkout.run(*example(language))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ": approve [" in ran.stdout
    assert "capture " in ran.stdout


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_they_ask_the_next_gateway_where_one_is_gone(checkout: Checkout, language: str) -> None:
    gone = f"http://{HOST}:{free_port()}"
    ran = checkout.run(*example(language), STOPBANK_URL=f"{gone},{checkout.urls[0]}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ": approve [" in ran.stdout


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_they_say_why_where_a_key_is_refused(checkout: Checkout, language: str) -> None:
    ran = checkout.run(*example(language), STOPBANK_KEY="sb_nobody_secret")
    assert ran.returncode == 1
    assert "401 urn:stopbank:problem:unauthorized" in ran.stderr


def test_a_small_purchase_passes_by_checkout_s_own_policy_where_no_gateway_is(checkout: Checkout) -> None:
    ran = checkout.run(sys.executable, EXAMPLES / "checkout.py", STOPBANK_URL=f"http://{HOST}:{free_port()}")
    assert ran.returncode == 0
    assert "thank you" in ran.stdout
    assert "no usable answer in time" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_examples_are_all_run_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{example.name}"' in here for example in EXAMPLES.iterdir() if example.is_file())
