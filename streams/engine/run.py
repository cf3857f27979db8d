"""How a run of records passes through Faust: as the value of one event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import faust

from streams.engine.partition import Run


class RunSchema(faust.Schema[Any, Any]):
    """Hands the run on as it is: the agent decodes, so that one bad record is one dead letter."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:  # type: ignore[override]
        """Make the function by which Faust turns a message into an event."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            del propagate
            run: Run = message.value
            return create_event(None, run, None, message)

        return decode
