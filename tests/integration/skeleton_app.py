"""The smallest app on the engine: one stateless hop and one counter a device.

It is what the chaos test holds the engine's promises against, apart from all that Stopbank decides.
"""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import faust
import orjson

from rules.fold import Output, SourceRecord
from streams.engine.app import EngineApp
from streams.engine.core import EngineConfig
from streams.engine.pipeline import RunPipeline

PREFIX = os.environ.get("SKELETON_PREFIX", "")
EVENTS, HOPS, RESULTS = PREFIX + "events", PREFIX + "hops", PREFIX + "results"
CHANGELOG = PREFIX + "counters-changelog"


class HopFold:
    """Stateless: sends each event on under its device."""

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Nothing to restore."""

    def apply(self, record: SourceRecord) -> Sequence[Output]:
        """One event in, one hop out."""
        assert record.value is not None
        device = orjson.loads(record.value)["device"]
        return [Output(HOPS, device.encode(), record.value)]

    def flush(self) -> Sequence[Output]:
        """Nothing is held back."""
        return []

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Nothing ever changes."""
        return []


class CounterFold:
    """Counts each event once for its device; says the same count again for an event it knows."""

    def __init__(self) -> None:
        self.seen: dict[bytes, dict[str, int]] = {}
        self._dirty: set[bytes] = set()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """State records hold the number that each event of a device was given."""
        self.seen = {key: orjson.loads(value) for key, value in records.items()}

    def apply(self, record: SourceRecord) -> Sequence[Output]:
        """One hop in, one result out."""
        assert record.key is not None
        assert record.value is not None
        event = orjson.loads(record.value)
        numbers = self.seen.setdefault(record.key, {})
        if event["id"] not in numbers:
            numbers[event["id"]] = len(numbers) + 1
            self._dirty.add(record.key)
        result = {"id": event["id"], "device": event["device"], "number": numbers[event["id"]]}
        return [Output(RESULTS, record.key, orjson.dumps(result))]

    def flush(self) -> Sequence[Output]:
        """Nothing is held back."""
        return []

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """The devices that counted something new."""
        dirty, self._dirty = sorted(self._dirty), set()
        return [(key, orjson.dumps(self.seen[key])) for key in dirty]


def make_app(bootstrap_servers: str) -> EngineApp:
    """The app with its two agents."""
    config = EngineConfig(
        group_id=PREFIX + "skeleton",
        client={"bootstrap_servers": bootstrap_servers},
        targets={HOPS: HOPS, RESULTS: RESULTS},
        sources=[EVENTS],
        session_timeout_s=float(os.environ.get("SKELETON_SESSION_S", "6")),
    )
    app = EngineApp("skeleton", config)
    counters = app.fold_table("counters", HOPS, CHANGELOG, lambda _: CounterFold())
    pipelines = {
        EVENTS: RunPipeline(app.engine, lambda run: app.consumer.finish(run), stateless=HopFold()),
        HOPS: RunPipeline(app.engine, lambda run: app.consumer.finish(run), table=counters),
    }

    @app.agent(app.run_topic(EVENTS), name="hop")
    async def hop(stream: Any) -> None:
        async for event in stream.noack().events():
            await pipelines[EVENTS].process(event.value)

    @app.agent(app.run_topic(HOPS), name="count")
    async def count(stream: Any) -> None:
        async for event in stream.noack().events():
            await pipelines[HOPS].process(event.value)

    del hop, count
    return app


if __name__ == "__main__":
    faust.Worker(
        make_app(os.environ["KAFKA_BOOTSTRAP_SERVERS"]), loglevel="INFO", logfile=None
    ).execute_from_commandline()
