"""Uvicorn's HTTP over httptools, with bounds on what comes before a request's body: how large, and how slow."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The request line and all headers. A key, a deadline and an id take some hundred bytes.
MAX_HEAD_BYTES: Final = 32_768
# From the connection's beginning, or the first byte of a further request, until the headers' end.
HEAD_TIMEOUT_S: Final = 10.0


class BoundedHttpProtocol(HttpToolsProtocol):
    """Hangs up on who sends headers without end or never finishes them; before they end nobody else could."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A connection: its first request has to come."""
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._begin_head()

    def on_headers_complete(self) -> None:
        """The end of the headers."""
        self._end_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        super().data_received(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._hang_up()

    def _begin_head(self) -> None:
        self._end_head()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._hang_up)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _hang_up(self) -> None:
        self._end_head()
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self.send_400_response("The headers are too large, or too slow.")
        else:
            # Opened in advance and not used: an answer would be taken for that to the first request.
            self.transport.close()
