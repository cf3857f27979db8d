"""What Faust's app, conductor and agents look for in a consumer, where it has no meaning for runs of records.

Faust tracks, acknowledges and seeks single messages; here runs are tracked by the partition that they came
from, so these answers are the same always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from faust.types import TP
from mode import Service

# mode is typed in part only.
# pyright: reportUnknownMemberType=false

if TYPE_CHECKING:
    from streams.engine.app import EngineApp

COMMIT_INTERVAL_S: Final = 0.25


class ConsumerForFaust(Service):
    """The part of Faust's consumer interface that runs do not need."""

    def __init__(self, transport: Any, callback: Any, **kwargs: Any) -> None:
        for unused in ("on_partitions_revoked", "on_partitions_assigned", "commit_interval"):
            kwargs.pop(unused, None)
        self.transport = transport
        self.app: EngineApp = transport.app
        self.callback = callback
        self.in_transaction = False
        self.randomly_assigned_topics: set[str] = set()
        self.commit_interval = COMMIT_INTERVAL_S
        super().__init__(**kwargs)
        # Faust's streams look these up when they start.
        self._unacked_messages: set[Any] = set()
        self.unacked = self._unacked_messages

    def on_buffer_full(self, tp: TP) -> None:
        """Back-pressure is by records in flight, not by Faust's buffers."""

    def on_buffer_drop(self, tp: TP) -> None:
        """See `on_buffer_full`."""

    def track_message(self, message: Any) -> None:
        """Single messages are not tracked."""

    def ack(self, message: Any) -> bool:
        """Single messages are not acknowledged."""
        del message
        return False

    async def on_task_error(self, exc: BaseException) -> None:
        """An agent must not raise: a fault ends the process."""
        self.app.fail(exc)

    def close(self) -> None:
        """Nothing to close beyond `on_stop`."""
