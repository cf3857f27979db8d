"""What the demo asks the gateway over HTTP: a share of the purchases, each when it is due."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import orjson

from models.purchase import decode_purchase
from streams.client import StopbankClient, StopbankError
from streams.produce import OutgoingLine, OutgoingRecord
from streams.topics import PURCHASES

# Of so many accounts the purchases of one go over HTTP, whichever are due when: each account keeps to its way.
_ONE_ACCOUNT_IN: Final = 12
# What the embedded broker needs when it is busy, and a little: the demo shows tiers, and not only them.
DEADLINE_MS: Final = 500
FULL: Final = "full"
_ASK_EVERY_S: Final = 0.5


@dataclass
class RequestTally:
    """What came of the requests: milliseconds of each from sending to answer, and how many each tier answered."""

    sent: int = 0
    latencies_ms: list[int] = field(default_factory=list[int])
    tiers: Counter[str] = field(default_factory=Counter[str])
    failures: Counter[str] = field(default_factory=Counter[str])
    # The gateway's breaker, as it said last.
    breaker: str = ""

    @property
    def in_flight(self) -> int:
        """Requests without an answer so far."""
        return self.sent - len(self.latencies_ms) - self.failures.total()

    @property
    def degraded(self) -> dict[str, int]:
        """How many answers each tier gave in place of the full decision."""
        return {tier: count for tier, count in sorted(self.tiers.items()) if tier != FULL}


def goes_over_http(record: OutgoingRecord) -> bool:
    """Whether this is one of the gateway's purchases."""
    return record.topic == PURCHASES and zlib.crc32(record.key or b"") % _ONE_ACCOUNT_IN == 0


async def send_requests(url: str, key: str, records: Iterable[OutgoingRecord], tally: RequestTally) -> None:
    """Ask for a decision on each, when it is due, whether those before are answered or not."""
    started_s = time.monotonic()
    # There is one gateway: an answer that is slow there is not faster asked for twice.
    patient = StopbankClient([url], key, deadline_ms=DEADLINE_MS, hedge_after_ms=DEADLINE_MS, grace_ms=5_000)
    async with patient as client, asyncio.TaskGroup() as requests:
        for record in records:
            ahead_s = record.due_s - (time.monotonic() - started_s)
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            tally.sent += 1
            requests.create_task(_ask(client, record, tally))


async def _ask(client: StopbankClient, record: OutgoingRecord, tally: RequestTally) -> None:
    sent_s = time.monotonic()
    try:
        answer = await client.decide(decode_purchase(record.value or b""))
    except StopbankError as error:
        tally.failures[type(error).__name__] += 1
        return
    tally.latencies_ms.append(round((time.monotonic() - sent_s) * 1000))
    tally.tiers[answer.tier or FULL] += 1


def degraded_words(tally: RequestTally) -> str:
    """The share of degraded answers and, where there are any, each tier's."""
    answered = max(1, tally.tiers.total())
    degraded = tally.degraded
    tiers = ", ".join(f"{tier} {count / answered:.1%}" for tier, count in degraded.items())
    return f"{sum(degraded.values()) / answered:.1%}" + (f" ({tiers})" if tiers else "")


async def follow_breaker(url: str, key: str, tally: RequestTally) -> None:
    """Keep what the gateway says of its breaker, until cancelled."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=5)) as session:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"{url}/v1/status") as answer:
                    tally.breaker = orjson.loads(await answer.read())["breaker"]
            await asyncio.sleep(_ASK_EVERY_S)


def scheduled(lines: Iterable[OutgoingLine], rate: float) -> list[OutgoingRecord]:
    """The lines as records, `rate` of them a second."""
    return [
        OutgoingRecord(line.topic, line.key, orjson.dumps(line.value), (), line.where, number / rate)
        for number, line in enumerate(lines)
    ]
