"""Gateways without what they need, and what they answer then; how they end, and what keeps them from starting."""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams import topics
from streams.broker.broker import HOST, free_port
from streams.broker.kafka import KafkaBroker
from tests.integration.commands import Stopbank
from tests.integration.gateways import RULES, WORKERS, Answered, Caller, Gateway, Gateways, purchase
from tests.integration.line import Line, until

pytestmark = pytest.mark.timeout(240)


# -- without workers --------------------------------------------------------------------------------


async def assert_each_is_decided_once(line: Line, asked: Sequence[dict[str, Any]], timeout_s: float = 60) -> None:
    """Wait for every decision. One may be told again, as often as it was asked for, but in the same bytes."""
    wanted, deadline_s = {one["transaction_id"] for one in asked}, time.monotonic() + timeout_s
    while True:
        texts = {record.value for record in await line.read(topics.DECISIONS)}
        counts = Counter(orjson.loads(text)["transaction_id"] for text in texts)
        if counts.keys() >= wanted:
            assert counts == Counter(wanted)
            return
        assert time.monotonic() < deadline_s, f"not decided in {timeout_s} s: {wanted - counts.keys()}"
        await asyncio.sleep(0.3)


async def test_without_workers_answers_are_given_in_tiers_the_breaker_opens_and_it_closes_when_they_are_back(
    kafka: str, tmp_path: Path
) -> None:
    line = Line(kafka, "tiers")
    await line.set_up(RULES)
    with Gateways(line, tmp_path) as gateways, line.workers(tmp_path) as workers:
        gateway = await gateways.started(BREAKER_FAILURES="3", PROBE_INTERVAL_MS="60000")
        asked = [purchase(), purchase(amount=600_000), purchase(amount=150_000), *(purchase() for _ in range(4))]
        async with gateways.caller() as caller:
            answers = [await caller.decide(gateway, one, 60) for one in asked]
            assert [(answer.tier, answer.body["action"]) for answer in answers[:3]] == [
                ("default", "approve"),
                ("stateless-rules", "block"),
                ("default", "flag"),
            ]
            assert [answer.cause for answer in answers] == ["deadline"] * 3 + ["breaker-open"] * 4
            assert gateway.metrics()["stopbank_gateway_breaker_state", "open"] == 1
            assert gateway.answers("default", "breaker-open") == 4
            workers.start(WORKERS)
            # Nobody probes within a minute: it is the reply to one that did not wait that closes it.
            closed = ("stopbank_gateway_breaker_state", "closed")
            while gateway.metrics()[closed] == 0:
                asked.append(purchase())
                answers.append(await caller.decide(gateway, asked[-1], 2_000))
                await asyncio.sleep(0.1)
            await caller.until_decided(gateway, asked[0])
        assert gateway.stop() == 0, gateways.log_text()
        await assert_each_is_decided_once(line, asked)
        told = {orjson.loads(record.value)["transaction_id"]: record for record in await line.read(topics.DEGRADED)}
        for one, answer in zip(asked, answers, strict=True):
            if answer.degraded:
                assert told.pop(one["transaction_id"]).value == answer.text
        assert told == {}


async def test_a_gateway_that_ends_answers_what_it_was_asked_and_writes_what_it_has_queued(
    kafka: str, tmp_path: Path
) -> None:
    line = Line(kafka, "drains")
    await line.set_up(RULES)
    with Gateways(line, tmp_path) as gateways:
        gateway = await gateways.started(BREAKER_FAILURES="1000")
        async with gateways.caller() as caller:
            asked = [purchase() for _ in range(40)]
            asking = [asyncio.create_task(caller.decide(gateway, one, 1_500)) for one in asked]
            in_flight = ("stopbank_gateway_in_flight",)
            await until(lambda: gateway.metrics()[in_flight] == len(asked), "all to be in flight", 20)
            code = await asyncio.to_thread(gateway.stop)
            answers = await asyncio.gather(*asking)
        assert code == 0, gateways.log_text()
        assert {(answer.status, answer.tier, answer.cause) for answer in answers} == {(200, "default", "deadline")}
        for topic in (topics.PURCHASES, topics.DEGRADED):
            written = [orjson.loads(record.value)["transaction_id"] for record in await line.read(topic)]
            assert sorted(written) == sorted(one["transaction_id"] for one in asked)


async def test_more_requests_than_may_be_in_flight_are_answered_at_once(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "crowd")
    await line.set_up(RULES)
    with Gateways(line, tmp_path) as gateways:
        gateway = await gateways.started(MAX_IN_FLIGHT="5", BREAKER_FAILURES="1000")
        async with gateways.caller() as caller:
            answers = await asyncio.gather(*(caller.decide(gateway, purchase(), 2_000) for _ in range(25)))
        assert Counter(answer.cause for answer in answers) == {"deadline": 5, "overloaded": 20}


# -- surroundings -----------------------------------------------------------------------------------


@pytest.mark.needs_kafka
async def test_a_gateway_starts_before_its_broker_and_outlives_its_absence(tmp_path: Path) -> None:
    broker = KafkaBroker()
    line = Line(broker.bootstrap_servers, "early")
    asked: list[dict[str, Any]] = []

    async def answered(caller: Caller, gateway: Gateway) -> Answered:
        asked.append(purchase())
        return await caller.decide(gateway, asked[-1], 100)

    with Gateways(line, tmp_path) as gateways, line.workers(tmp_path) as workers:
        try:
            gateway = await gateways.started(ready=False)
            async with gateways.caller() as caller:
                early = await answered(caller, gateway)
                assert (early.tier, early.cause, early.body["action"]) == ("default", "no-broker", "block")
                assert "no broker answers" in gateway.ready()
                await asyncio.to_thread(broker.start)
                await line.set_up(RULES)
                workers.start(1)
                await until(lambda: gateway.ready() == "ok", "the connection", 60)
                await caller.until_decided(gateway, asked[0])
                # A worker that takes its partitions over just then would end, for another to take its place.
                await line.finish(workers, 60)

                await asyncio.to_thread(broker.kill)
                away = [await answered(caller, gateway) for _ in range(30)]
                assert {answer.tier for answer in away} == {"default"}
                assert {answer.cause for answer in away} <= {"deadline", "breaker-open", "no-broker"}
                # Whoever answers in tiers is still to be called.
                assert gateway.ready() == "ok"
                await asyncio.to_thread(broker.start)
                for one in asked:
                    await caller.until_decided(gateway, one)
            assert gateway.stop() == 0, gateways.log_text()
            await assert_each_is_decided_once(line, asked)
        finally:
            await asyncio.to_thread(broker.close)


async def test_records_that_no_broker_takes_are_told_at_the_end(tmp_path: Path) -> None:
    line = Line(f"{HOST}:{free_port()}", "nowhere")
    with Gateways(line, tmp_path) as gateways:
        gateway = await gateways.started(ready=False, DRAIN_S="0.2")
        async with gateways.caller() as caller:
            await caller.decide(gateway, purchase())
        assert gateway.stop() == 70
        assert '"records_left": 2' in gateways.log_text()


async def test_a_gateway_that_ends_answers_until_proxies_know(tmp_path: Path) -> None:
    with Gateways(Line(f"{HOST}:{free_port()}", "nowhere"), tmp_path) as gateways:
        gateway = await gateways.started(ready=False, LINGER_S="2", DRAIN_S="0")
        async with gateways.caller() as caller:
            assert (await caller.decide(gateway, purchase())).status == 200
            gateway.process.send_signal(signal.SIGTERM)
            await until(lambda: "it is ending" in gateway.ready(), "it to be unready", 10)
            # The first over the connection that was kept, the others over new ones.
            answers = [await caller.decide(gateway, purchase()) for _ in range(3)]
        assert [(answer.status, answer.closes) for answer in answers] == [(200, True)] * 3
        assert gateway.process.poll() is None
        assert await asyncio.to_thread(gateway.process.wait, 30) == 70


async def test_an_outbox_without_room_says_so_in_every_answer(tmp_path: Path) -> None:
    line = Line(f"{HOST}:{free_port()}", "nowhere")
    with Gateways(line, tmp_path) as gateways:
        gateway = await gateways.started(ready=False, MAX_QUEUED="4", DRAIN_S="0")
        async with gateways.caller() as caller:
            answers = [await caller.decide(gateway, purchase()) for _ in range(4)]
            settled = await caller.call(gateway, "POST", "/v1/purchases/t-1/void", {"account_id": "a-1"})
        # Each purchase that is taken brings its answer with it.
        assert [answer.cause for answer in answers] == ["no-broker"] * 2 + ["overloaded"] * 2
        assert gateway.metrics()[("stopbank_gateway_unrecorded_total",)] == 2
        assert settled.status == 503


def certificate(folder: Path) -> dict[str, str]:
    """A certificate for this address, as settings of a gateway. Skips where there is no openssl to make one."""
    new = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem -subj /CN=gateway "
        f"-addext subjectAltName=IP:{HOST}"
    )
    try:
        subprocess.run(new.split(), cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    return {"TLS_CERTFILE": str(folder / "cert.pem"), "TLS_KEYFILE": str(folder / "key.pem")}


async def test_with_a_certificate_it_speaks_https(tmp_path: Path) -> None:
    own = certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=own["TLS_CERTFILE"])
    with Gateways(Line(f"{HOST}:{free_port()}", "nowhere"), tmp_path) as gateways:
        gateway = await gateways.started(ready=False, DRAIN_S="0", **own)
        async with gateways.caller(trusted) as caller:
            assert (await caller.decide(gateway, purchase())).cause == "no-broker"


async def test_whoever_sends_headers_without_end_is_hung_up_on(tmp_path: Path) -> None:
    with Gateways(Line(f"{HOST}:{free_port()}", "nowhere"), tmp_path) as gateways:
        gateway = await gateways.started(ready=False, DRAIN_S="0")
        reader, writer = await asyncio.open_connection(HOST, gateway.port)
        writer.write(b"GET / HTTP/1.1\r\nendless: ")
        sent = 0
        while not reader.at_eof() and sent < 10_000_000:
            writer.write(b"x" * 1_000)
            sent += 1_000
            try:
                await asyncio.wait_for(reader.read(1_000), 0.001)
            except TimeoutError:
                continue
            except ConnectionError:
                break
        writer.close()
        assert sent < 10_000_000
        async with gateways.caller() as caller:
            assert (await caller.decide(gateway, purchase())).cause == "no-broker"


# -- what keeps it from starting --------------------------------------------------------------------


def test_topics_that_are_missing_are_told(kafka: str, tmp_path: Path) -> None:
    own = Gateways(Line(kafka, "none"), tmp_path)
    stopbank = Stopbank(kafka, {"STOPBANK_GATEWAY_KEYS_FILE": str(own.keys), "STOPBANK_GATEWAY_PORT": str(free_port())})
    told = stopbank.refused("gateway", code=78)
    assert f"no topics {stopbank.prefix}purchases, " in told
    assert "stopbank topics create" in told
