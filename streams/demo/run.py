"""The demo from beginning to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.live import Live

from models.decision import decode_decision
from rules.desk_outputs import RECEIVED_HEADER
from streams import topics
from streams.clients import producer_client, reading_client
from streams.demo.requests import RequestTally, follow_breaker, goes_over_http, scheduled, send_requests
from streams.demo.stage import DemoError, Stage
from streams.demo.summary import summary
from streams.demo.tally import Tally
from streams.demo.view import live_view, status_line
from streams.produce import OutgoingLine, OutgoingRecord, moved_to, produce_lines, read_lines, write_records

_EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
RECORDING: Final = _EXAMPLES / "recordings" / "demo.jsonl.gz"
RULES: Final = _EXAMPLES / "rules" / "checkout.yaml"
# How long no decision may come before the purchases without one are sent again, and how often they are.
_PATIENCE_S: Final = 5.0
_ATTEMPTS: Final = 5
_REFRESH_S: Final = 0.25
_STATUS_S: Final = 5.0


async def run_demo(console: Console, *, rate: float, workers: int, keep: bool) -> None:
    """Stream the bundled recording and show what is decided. Raises DemoError where it gets stuck."""
    lines = _recording(RECORDING)
    purchases = [line.value for line in lines if line.topic == topics.PURCHASES]
    fraud = frozenset(str(line.value["transaction_id"]) for line in lines if line.topic == topics.LABELS)
    console.print("starting an embedded broker and its topics …")
    with Stage(workers) as stage:
        ruleset = await stage.prepare(RULES.read_text(encoding="utf-8"), RULES.name)
        console.print(f"rules {RULES.name} in version {ruleset.version}; starting {_counted(workers)} and a gateway …")
        stage.start_parts()
        await stage.wait_ready()
        show = Show(console, stage, Tally(len(purchases)), workers, ruleset.plan.currency)
        await show.stream(lines, rate)
        console.print(summary(show.tally, show.requests, purchases, fraud, show.currency))
        if show.asked_again:
            console.print(f"{show.asked_again} purchases got no answer at first and were sent again.")
        if keep:
            await _stay(console, stage)


def _counted(workers: int) -> str:
    return f"{workers} worker{'' if workers == 1 else 's'}"


def _recording(path: Path) -> list[OutgoingLine]:
    if not path.exists():
        raise DemoError(f"{path} is missing: the demo runs from a checkout of the repository")
    return moved_to(list(read_lines(path)), int(time.time() * 1000))


@dataclass
class Show:
    """Purchases in, decisions out, and both before the audience. `currency` is the ruleset's."""

    console: Console
    stage: Stage
    tally: Tally
    workers: int
    currency: str
    asked_again: int = 0
    requests: RequestTally = field(default_factory=RequestTally)

    async def stream(self, lines: Sequence[OutgoingLine], rate: float) -> None:
        """Write the records and show the tally until every purchase is decided. Raises DemoError."""
        async with reading_client(self.stage.settings, topics.DECISIONS, from_beginning=True) as consumer:
            reading = asyncio.create_task(self._read(consumer))
            writing = asyncio.create_task(self._write(lines, rate))
            asking = asyncio.create_task(follow_breaker(self.stage.url, self.stage.key, self.requests))
            try:
                await self._watch(writing, reading)
            finally:
                for task in (writing, reading, asking):
                    task.cancel()
                await asyncio.gather(writing, reading, asking, return_exceptions=True)

    async def _read(self, consumer: Any) -> None:
        async for record in consumer:
            received_ms = int(dict(record.headers)[RECEIVED_HEADER])
            self.tally.take(decode_decision(record.value), max(0, record.timestamp - received_ms))

    async def _write(self, lines: Sequence[OutgoingLine], rate: float) -> None:
        """Write as a checkout does: what gets no answer in time is asked again. Raises DemoError."""
        settings, records = self.stage.settings, scheduled(lines, rate)
        over_http = [record for record in records if goes_over_http(record)]
        to_kafka = [record for record in records if not goes_over_http(record)]
        async with producer_client(settings, {record.topic for record in to_kafka}) as producer:
            await asyncio.gather(
                send_requests(self.stage.url, self.stage.key, over_http, self.requests),
                _written(producer, settings.topic_prefix, to_kafka),
            )
        for _ in range(_ATTEMPTS):
            undecided = await self._undecided_in_time(lines)
            if not undecided:
                return
            self.asked_again += len(undecided)
            await produce_lines(settings, undecided, rate)
        if await self._undecided_in_time(lines):
            raise DemoError(f"{len(self.tally.undecided(lines))} purchases were not decided\n{self.stage.log_tails()}")

    async def _undecided_in_time(self, lines: Sequence[OutgoingLine]) -> list[OutgoingLine]:
        """Purchases without a decision, once none has come for a while."""
        seen, since_s = len(self.tally.actions), time.monotonic()
        while not self.tally.done and time.monotonic() - since_s < _PATIENCE_S:
            await asyncio.sleep(_REFRESH_S)
            if len(self.tally.actions) != seen:
                seen, since_s = len(self.tally.actions), time.monotonic()
        return self.tally.undecided(lines)

    async def _watch(self, writing: asyncio.Task[None], reading: asyncio.Task[None]) -> None:
        """Raises DemoError where a part ends."""
        with self._display() as refresh:
            while not (self.tally.done and writing.done()):
                await asyncio.sleep(_REFRESH_S)
                refresh()
                self.stage.verify_parts()
                for task in (reading, writing):
                    if task.done():
                        task.result()

    @contextmanager
    def _display(self) -> Generator[Callable[[], None]]:
        """What shows the tally anew: a view that stays in its place, or, in a file, a line now and then."""
        if self.console.is_terminal:
            with Live(console=self.console, auto_refresh=False) as live:

                def redraw() -> None:
                    shown = live_view(self.tally, self.requests, self.workers, self.currency, self.console.width)
                    live.update(shown, refresh=True)

                yield redraw
                redraw()
            return
        said_s = time.monotonic()

        def say() -> None:
            nonlocal said_s
            if time.monotonic() - said_s > _STATUS_S:
                said_s = time.monotonic()
                self.console.print(status_line(self.tally, self.requests), soft_wrap=True)

        yield say
        self.console.print(status_line(self.tally, self.requests), soft_wrap=True)


async def _written(producer: AIOKafkaProducer, prefix: str, records: Sequence[OutgoingRecord]) -> None:
    async for _ in write_records(producer, prefix, records):
        pass


async def _stay(console: Console, stage: Stage) -> None:
    servers = stage.settings.kafka.bootstrap_servers
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    purchase = (
        f'{{"transaction_id": "t-by-hand", "account_id": "a-00001", "amount": 19900, "currency": "CNY", '
        f'"event_time": "{now}", "merchant_id": "m-0001", "mcc": "5411"}}'
    )
    console.print(
        f"\nStaying up on {servers} until Ctrl-C. In another terminal:\n"
        f"  export KAFKA_BOOTSTRAP_SERVERS={servers} STOPBANK_FETCH_WAIT_MS=20\n"
        "  stopbank tail\n"
        f"  stopbank produce --rate 50 --shift-to-now {RECORDING}\n"
        "and over HTTP:\n"
        f"  export STOPBANK_URL={stage.url} STOPBANK_KEY={stage.key}\n"
        '  curl --header "Authorization: Bearer $STOPBANK_KEY" --header "Content-Type: application/json" '
        f"--data '{purchase}' \"$STOPBANK_URL/v1/decisions\"\n"
        f"  sh {_EXAMPLES / 'checkout' / 'curl.sh'}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    await asyncio.Event().wait()
