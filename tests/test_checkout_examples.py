"""The examples of a checkout against a gateway that answers by a script; with real ones they run in the integration."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from tests.programs import node, program
from tests.streams.client.scripted import Reply, ScriptedGateway, decision_text, problem_text, result_text, serving

PROJECT = Path(__file__).resolve().parents[1]
EXAMPLES = PROJECT / "examples" / "checkout"
SETTLED = Reply(body=result_text())


@dataclass
class EchoingGateway(ScriptedGateway):
    """Decides on whatever purchase it is sent, and knows of no capture."""

    degraded: tuple[str, ...] = ()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/decisions":
            sent = orjson.loads(await request.read())
            self.otherwise = Reply(body=decision_text("approve", self.degraded, sent["transaction_id"]))
        else:
            self.otherwise = Reply(404, problem_text(404))
        return await super().handle(request)


async def ran(gateway: ScriptedGateway, *command: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of an example that calls this gateway."""
    told = {"STOPBANK_URL": gateway.url, "STOPBANK_KEY": "sb_k1_secret", "DEADLINE_MS": "20000"}
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **told, "PYTHONPATH": str(PROJECT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(("again", "code"), [(Reply(409, problem_text(409)), 0), (Reply(), 1)])
async def test_curl_takes_nothing_but_a_conflict_for_another_amount(again: Reply, code: int) -> None:
    program("curl")
    gateway = ScriptedGateway(script=[Reply(), Reply(), again, Reply(), SETTLED])
    async with serving(gateway):
        ended, out, err = await ran(gateway, "sh", str(EXAMPLES / "curl.sh"))
    assert ended == code, out + err
    assert ("expected one of 409" in err) == (code == 1)
    first, second, third = (seen.body for seen in gateway.seen[:3])
    assert first == second
    assert third == first.replace(b"19900", b"29900")


@pytest.mark.parametrize("language", ["python", "javascript"])
@pytest.mark.parametrize(
    ("degraded", "told"),
    [
        (("default", "deadline"), "answered by default, because of deadline"),
        (("credit-unknown",), None),
        ((), None),
    ],
)
async def test_a_tier_is_told_where_the_decision_is_not_the_full_one(
    language: str, degraded: tuple[str, ...], told: str | None
) -> None:
    # In Python the decision has to be on the purchase that was sent, whose id the example draws.
    gateway = EchoingGateway(degraded=degraded)
    command = (
        [sys.executable, str(EXAMPLES / "checkout.py")]
        if language == "python"
        else [node(), str(EXAMPLES / "checkout.mjs")]
    )
    async with serving(gateway):
        _, out, err = await ran(gateway, *command)
    assert ": approve" in out, out + err
    assert [line for line in out.splitlines() if line.startswith("answered by")] == ([told] if told else [])
