"""The demo from beginning to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.live import Live

from models.decision import decode_decision
from rules.desk import RECEIVED_HEADER
from streams import topics
from streams.clients import producer_client, reading_client
from streams.demo.stage import DemoError, Stage
from streams.demo.tally import Tally
from streams.demo.view import live_view, status_line, summary
from streams.produce import OutgoingLine, read_lines, shifted, write_lines
from streams.settings import Settings

_EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
RECORDING: Final = _EXAMPLES / "recordings" / "demo.jsonl.gz"
RULES: Final = _EXAMPLES / "rules" / "checkout.yaml"
# How long after the last purchase was written its decision may take.
_PATIENCE_S: Final = 60.0
_REFRESH_S: Final = 0.25
_STATUS_S: Final = 5.0


async def run_demo(console: Console, *, rate: float, workers: int, keep: bool) -> None:
    """Stream the bundled recording and show what is decided. Raises DemoError where it gets stuck."""
    lines = _recording(RECORDING)
    purchases = [line.value for line in lines if line.topic == topics.PURCHASES]
    fraud = frozenset(str(line.value["transaction_id"]) for line in lines if line.topic == topics.LABELS)
    tally = Tally(len(purchases))
    rules = RULES.read_text(encoding="utf-8")
    console.print("starting an embedded broker and its topics …")
    with Stage(workers) as stage:
        version = await stage.prepare(rules)
        console.print(f"rules {RULES.name} in version {version}; starting {workers} workers …")
        stage.start_workers()
        await _stream(console, stage, lines, tally, rate, workers)
        if keep:
            await _stay(console, stage.settings)
        stage.stop_workers()
    console.print(summary(tally, purchases, fraud))


def _recording(path: Path) -> list[OutgoingLine]:
    if not path.exists():
        raise DemoError(f"{path} is missing: the demo runs from a checkout of the repository")
    lines = list(read_lines(path))
    last_ms = max(line.value["event_time"] for line in lines if line.topic == topics.PURCHASES)
    # The last purchase happens now: a recording is otherwise as late as it is old.
    return list(shifted(lines, int(time.time() * 1000) - last_ms))


async def _stream(
    console: Console, stage: Stage, lines: Sequence[OutgoingLine], tally: Tally, rate: float, workers: int
) -> None:
    settings = stage.settings
    async with (
        producer_client(settings) as producer,
        reading_client(settings, topics.DECISIONS, from_beginning=True) as consumer,
    ):
        reading = asyncio.create_task(_read(consumer, tally))
        writing = asyncio.create_task(_write(producer, settings, lines, rate))
        try:
            await _watch(console, stage, tally, writing, reading, workers)
        finally:
            for task in (writing, reading):
                task.cancel()


async def _write(producer: AIOKafkaProducer, settings: Settings, lines: Sequence[OutgoingLine], rate: float) -> None:
    async for _ in write_lines(producer, settings.topic_prefix, lines, rate):
        pass


async def _read(consumer: Any, tally: Tally) -> None:
    async for record in consumer:
        received_ms = int(dict(record.headers)[RECEIVED_HEADER])
        tally.take(decode_decision(record.value), max(0, record.timestamp - received_ms))


async def _watch(
    console: Console,
    stage: Stage,
    tally: Tally,
    writing: asyncio.Task[None],
    reading: asyncio.Task[None],
    workers: int,
) -> None:
    """Show the tally until every purchase is decided. Raises DemoError where a part ends or nothing comes."""
    live: AbstractContextManager[Any] = (
        Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext()
    )
    deadline_s, said_s = None, time.monotonic()
    with live as display:
        while not tally.done:
            await asyncio.sleep(_REFRESH_S)
            if display is not None:
                display.update(live_view(tally, workers), refresh=True)
            elif time.monotonic() - said_s > _STATUS_S:
                console.print(status_line(tally))
                said_s = time.monotonic()
            stage.verify_workers()
            if reading.done():
                reading.result()
            if writing.done():
                writing.result()
                deadline_s = deadline_s or time.monotonic() + _PATIENCE_S
                if time.monotonic() > deadline_s:
                    raise DemoError(f"{tally.expected - len(tally.actions)} purchases were not decided")
        if display is not None:
            display.update(live_view(tally, workers), refresh=True)
    if display is None:
        console.print(status_line(tally))


async def _stay(console: Console, settings: Settings) -> None:
    servers = settings.kafka.bootstrap_servers
    console.print(
        f"\nStaying up on {servers} until Ctrl-C. In another terminal:\n"
        f"  export KAFKA_BOOTSTRAP_SERVERS={servers} STOPBANK_FETCH_WAIT_MS=5\n"
        "  stopbank tail\n"
        f"  stopbank produce --rate 50 --shift-to-now {RECORDING}"
    )
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("stopping …")
