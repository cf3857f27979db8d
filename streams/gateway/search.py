"""A search: one question asked of several desks at once."""

from __future__ import annotations

import asyncio

from rules.reply import DECISION, Reply
from streams.gateway.replies import Replies


class Search:
    """The first decision found ends it, and so does the last desk's saying that it knows of none."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._asked: set[str] = set()
        self._found: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def expect(self, reply_id: str) -> None:
        """A desk is asked under this id."""
        self._asked.add(reply_id)
        self._replies.expect(reply_id, self._take)

    async def result(self, until_s: float) -> tuple[bytes | None, bool]:
        """The decision's text, None where all desks know of none; and whether they all answered until then."""
        try:
            async with asyncio.timeout_at(until_s):
                return await self._found, True
        except TimeoutError:
            return None, False
        finally:
            self.end()

    def end(self) -> None:
        """Await nothing more."""
        for reply_id in self._asked:
            self._replies.forget(reply_id)

    def _take(self, reply: Reply) -> None:
        self._asked.discard(reply.id)
        if self._found.done():
            return
        if reply.kind == DECISION:
            self._found.set_result(reply.value)
        elif not self._asked:
            self._found.set_result(None)
