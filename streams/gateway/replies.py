"""Replies that are awaited, by the ids under which they were asked for.

An id begins with what this gateway alone puts there, so that the replies to another one that listens on the same
partition are passed over; and it says when it was asked and how long the answer might take, so that any reply tells
by itself whether it came in time, with nothing kept of what is not awaited any more.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final

from rules.reply import Reply

_INSTANCE_BYTES: Final = 8

Taker = Callable[[Reply], None]


class Replies:
    """What is awaited now.

    `on_time` hears of each reply that came while its answer could wait for it, whether anybody did or not, and how
    many seconds after it was asked for; `on_late` of each that did not.
    """

    def __init__(self, on_time: Callable[[float], None], on_late: Callable[[], None]) -> None:
        self._on_time = on_time
        self._on_late = on_late
        self._instance = secrets.token_hex(_INSTANCE_BYTES)
        self._asked = 0
        self._awaited: dict[str, Taker] = {}

    @property
    def awaited(self) -> int:
        """How many replies are awaited."""
        return len(self._awaited)

    def new_id(self, now_s: float, until_s: float) -> str:
        """An id to ask under at `now_s`, for an answer that waits until `until_s`, both by the loop's clock."""
        self._asked += 1
        return f"{self._instance}-{self._asked:x}-{int(now_s * 1000):x}-{max(0, int((until_s - now_s) * 1000)):x}"

    def expect(self, reply_id: str, take: Taker) -> None:
        """Let `take` have the reply when it comes; it is taken once."""
        self._awaited[reply_id] = take

    def forget(self, reply_id: str) -> None:
        """Await a reply no more."""
        self._awaited.pop(reply_id, None)

    async def ask(self, reply_id: str, until_s: float) -> Reply | None:
        """The reply under this id; None when it has not come until `until_s`."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[Reply | None] = loop.create_future()
        self._awaited[reply_id] = partial(_settle, coming)
        timer = loop.call_at(until_s, self._give_up, reply_id, coming)
        try:
            return await coming
        finally:
            timer.cancel()
            self._awaited.pop(reply_id, None)

    def _give_up(self, reply_id: str, coming: asyncio.Future[Reply | None]) -> None:
        self._awaited.pop(reply_id, None)
        _settle(coming, None)

    def take(self, reply: Reply, now_s: float) -> None:
        """A reply has come."""
        instance, _, rest = reply.id.partition("-")
        if instance != self._instance:
            return
        try:
            _, asked_ms, allowed_ms = (int(part, 16) for part in rest.split("-"))
        except ValueError:
            return
        age_ms = now_s * 1000 - asked_ms
        if age_ms <= allowed_ms:
            self._on_time(age_ms / 1000)
        else:
            self._on_late()
        take = self._awaited.pop(reply.id, None)
        if take is not None:
            take(reply)


def _settle(coming: asyncio.Future[Reply | None], reply: Reply | None) -> None:
    # Whoever asked may have been cancelled a moment ago.
    if not coming.done():
        coming.set_result(reply)
