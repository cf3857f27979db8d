"""Traffic of a checkout that never waits for anybody: sent on a schedule, hedged, and every answer written down."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import orjson

from models.purchase import Purchase

DECISIONS_PATH = "/v1/decisions"
# Long after every deadline: a gateway that says nothing until then says nothing.
_PATIENCE_S = 10.0
_CONNECTIONS = 400
_LEAST_MS = 5

T = TypeVar("T")


@dataclass(slots=True)
class Reply:
    """What one gateway said to one request; status 0 where it said nothing, for the reason in `error`."""

    gateway: int
    sent_s: float
    answered_s: float
    status: int = 0
    action: str = ""
    degraded: tuple[str, ...] = ()
    text: bytes = b""
    error: str = ""


@dataclass(slots=True)
class Asked:
    """One purchase, when it was due, and what the gateways that were asked said, in the order of their answers."""

    purchase: Purchase
    due_s: float
    replies: list[Reply] = field(default_factory=list[Reply])

    @property
    def answer(self) -> Reply | None:
        """What the checkout goes by: the first decision that it was given."""
        return next((reply for reply in self.replies if reply.status == 200), None)

    @property
    def late_ms(self) -> float:
        """From when it was due to its answer."""
        assert self.answer is not None
        return (self.answer.answered_s - self.due_s) * 1000


class Checkout:
    """Sends purchases to gateways in turn.

    Where a gateway can't be reached, or has said nothing after `hedge_after_s`, the same purchase goes to the next
    one; what the first says later is written down too. Times are of the monotonic clock. `pace` is by how much the
    traffic is slower (below 1) or faster than it was meant to be.
    """

    def __init__(self, urls: Sequence[str], key: str, *, deadline_ms: int = 100, hedge_after_s: float = 0.15) -> None:
        self._urls = list(urls)
        self._hedge_after_s = hedge_after_s
        self._deadline_ms = deadline_ms
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._running: set[asyncio.Task[Any]] = set()
        self.pace = 1.0
        self.asked: list[Asked] = []

    async def __aenter__(self) -> Checkout:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=_PATIENCE_S),
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._session.close()

    def run(self, purchases: Iterable[Purchase], per_s: float, seed: int, over: asyncio.Event) -> asyncio.Task[None]:
        """Send purchases, `per_s` a second on average, until it is `over` or there are no more."""
        return self._begin(self._run(purchases, per_s, seed, over))

    async def _run(self, purchases: Iterable[Purchase], per_s: float, seed: int, over: asyncio.Event) -> None:
        rng, due_s = random.Random(seed), time.monotonic()
        for purchase in purchases:
            due_s += rng.expovariate(per_s * self.pace)
            ahead_s = due_s - time.monotonic()
            if ahead_s > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), ahead_s)
            if over.is_set():
                return
            self.start(purchase, due_s)

    def start(self, purchase: Purchase, due_s: float | None = None) -> Asked:
        """Ask without waiting for the answer."""
        asked = Asked(purchase, time.monotonic() if due_s is None else due_s)
        first = len(self.asked) % len(self._urls)
        self.asked.append(asked)
        self._begin(self._ask(asked, first, hedge=True))
        return asked

    async def settled(self) -> None:
        """Wait until nothing is under way: everything was answered, or given up."""
        while self._running:
            await asyncio.wait(list(self._running))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _ask(self, asked: Asked, gateway: int, *, hedge: bool) -> None:
        # The second request has what the first has left of the time.
        passed_ms = 0 if hedge else int((time.monotonic() - asked.due_s) * 1000)
        asking = self._begin(self.send(asked.purchase, gateway, max(_LEAST_MS, self._deadline_ms - passed_ms)))
        if hedge:
            await asyncio.wait([asking], timeout=self._hedge_after_s)
            if not asking.done() or asking.result().status == 0:
                self._begin(self._ask(asked, (gateway + 1) % len(self._urls), hedge=False))
        asked.replies.append(await asking)

    async def send(self, purchase: Purchase, gateway: int, deadline_ms: int | None = None) -> Reply:
        """One request to one gateway."""
        headers = {"Stopbank-Deadline-Ms": str(deadline_ms or self._deadline_ms)}
        body = purchase.model_dump_json(exclude_defaults=True).encode()
        reply = Reply(gateway, time.monotonic(), 0.0)
        try:
            async with self._session.post(self._urls[gateway] + DECISIONS_PATH, data=body, headers=headers) as response:
                reply.text = await response.read()
                reply.answered_s = time.monotonic()
                reply.status = response.status
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            reply.answered_s, reply.error = time.monotonic(), f"{type(error).__name__}: {error}"
            return reply
        if reply.status == 200:
            decision = orjson.loads(reply.text)
            reply.action, reply.degraded = decision["action"], tuple(decision["degraded"])
        return reply


def answers_of(asked: Iterable[Asked], gateway: int) -> Counter[tuple[str, str]]:
    """The decisions that one gateway gave, by tier and cause, as its metrics count them."""
    replies = (reply for one in asked for reply in one.replies if reply.gateway == gateway and reply.status == 200)
    return Counter((reply.degraded[0], reply.degraded[1]) if reply.degraded else ("full", "") for reply in replies)


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
