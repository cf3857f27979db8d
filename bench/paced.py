"""A load at a fixed rate and the answers' times of arrival: started by `bench.latency`, a process of its own.

`python -m bench.paced LOAD.json PURCHASES.jsonl RESULT.json`. Purchases are sent to one topic when they are due,
whether or not earlier ones were answered; records with their ids are awaited on another topic, or on the same one,
which tells what the broker takes alone. Latency counts from when a purchase was due; how late it was sent is told
beside it. What is sent is encoded before, what arrives is decoded after, and nothing is collected meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.open_loop import precise_loop

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

_HEAD_START_S: Final = 0.5
_READY_WAIT_S: Final = 60.0
_LAST_WAIT_S: Final = 60.0


class Load(NamedTuple):
    """What is sent where: `rate` purchases a second into `purchases`; their ids are awaited in `answers`."""

    servers: str
    purchases: str
    answers: str
    rate: float


class Arrival(NamedTuple):
    """Records that were there at one time, on the monotonic clock."""

    at_s: float
    values: list[bytes]


class Times(NamedTuple):
    """Milliseconds for each purchase, in their order: from due to answered, and from due to sent."""

    latency_ms: list[float]
    late_ms: list[float]


def times_of(due_s: Mapping[str, float], sent_s: Sequence[float], arrivals: Iterable[Arrival]) -> Times:
    """Of each purchase by its id: its first arrival counts. Raises SystemExit where one has none."""
    arrived_s: dict[str, float] = {}
    for at_s, values in arrivals:
        for value in values:
            arrived_s.setdefault(orjson.loads(value)["transaction_id"], at_s)
    missing = sum(name not in arrived_s for name in due_s)
    if missing:
        raise SystemExit(f"{missing} of {len(due_s)} purchases were not answered in {_LAST_WAIT_S:.0f} s")
    return Times(
        [(arrived_s[name] - at_s) * 1000 for name, at_s in due_s.items()],
        [(sent - at_s) * 1000 for sent, at_s in zip(sent_s, due_s.values(), strict=True)],
    )


class Paced:
    """One producer and one consumer."""

    def __init__(self, load: Load) -> None:
        self._load = load
        # acks=all: what a sender of purchases asks for. It waits for nothing to be sent with.
        self._producer = AIOKafkaProducer(bootstrap_servers=load.servers, acks="all", linger_ms=0)
        self._consumer = AIOKafkaConsumer(
            load.answers, bootstrap_servers=load.servers, auto_offset_reset="latest", fetch_max_wait_ms=50
        )
        self._arrivals: list[Arrival] = []

    async def measure(self, purchases: Sequence[bytes]) -> Times:
        """Send all at the rate, and wait for their answers. The first purchase is sent before, until it is answered."""
        documents = [orjson.loads(value) for value in purchases]
        keys = [document["account_id"].encode() for document in documents]
        await self._consumer.start()
        await self._producer.start()
        # What was answered before does not count: it is read from here on.
        for tp in self._consumer.assignment():
            await self._consumer.position(tp)
        try:
            first = orjson.dumps({**documents[0], "transaction_id": "first"})
            await self._producer.send_and_wait(self._load.purchases, first, key=keys[0])
            await asyncio.wait_for(self._collect(1), _READY_WAIT_S)
            reading = asyncio.create_task(self._collect(len(purchases)))
            start_s, sent_s = await self._send(keys, purchases)
            await asyncio.wait([reading], timeout=_LAST_WAIT_S)
            reading.cancel()
        finally:
            await self._producer.stop()
            await self._consumer.stop()
        due_s = {d["transaction_id"]: start_s + number / self._load.rate for number, d in enumerate(documents)}
        return times_of(due_s, sent_s, self._arrivals)

    async def _send(self, keys: Sequence[bytes], purchases: Sequence[bytes]) -> tuple[float, list[float]]:
        sent_s: list[float] = []
        start_s = time.monotonic() + _HEAD_START_S
        for number, (key, value) in enumerate(zip(keys, purchases, strict=True)):
            # Of nothing too, so that what was sent leaves.
            await asyncio.sleep(max(0.0, start_s + number / self._load.rate - time.monotonic()))
            sent_s.append(time.monotonic())
            await self._producer.send(self._load.purchases, value, key=key)
        return start_s, sent_s

    async def _collect(self, expected: int) -> None:
        seen = 0
        while seen < expected:
            fetched = await self._consumer.getmany(timeout_ms=1_000)
            values = [record.value or b"" for records in fetched.values() for record in records]
            self._arrivals.append(Arrival(time.monotonic(), values))
            seen += len(values)


async def _measure(load: Load, purchases: Sequence[bytes]) -> Times:
    # A client of aiokafka is made where its loop runs.
    return await Paced(load).measure(purchases)


def main(arguments: Sequence[str]) -> None:
    """Read the load and the purchases, send them, and write what they took."""
    load_file, purchases_file, result_file = map(Path, arguments)
    load = Load(**orjson.loads(load_file.read_bytes()))
    purchases = purchases_file.read_bytes().splitlines()
    # A pause of its own would make late what was answered in time.
    gc.disable()
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        times = runner.run(_measure(load, purchases))
    result_file.write_bytes(orjson.dumps(times._asdict()))


if __name__ == "__main__":
    main(sys.argv[1:])
