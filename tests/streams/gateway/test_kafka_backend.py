"""Between the HTTP edge and Kafka, over a log in memory: who waits, who does not, what the breaker learns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from models.purchase import Purchase
from models.settlement import Settlement
from rules.degraded import DegradedAnswers, parse_bands
from rules.reply import DECISION, Reply, reply_to
from streams.gateway.backend import Answer, Deadline, StreamAwayError
from streams.gateway.breaker import BreakerState
from streams.gateway.connection import Connection
from streams.gateway.gateway import breaker_of
from streams.gateway.kafka_backend import KafkaBackend
from streams.gateway.listener import ReplyListener
from streams.gateway.metrics import GatewayMetrics
from streams.gateway.outbox import Limits, Outbox, QueuedRecord
from streams.gateway.replies import Replies
from streams.gateway.settings import GatewaySettings
from streams.rulesets import Registry
from streams.settings import Settings
from streams.topics import ASSESSMENTS, INQUIRIES, PURCHASES, SETTLEMENTS
from tests.streams.gateway.conftest import purchase

PARTITIONS = 4


class Stream:
    """Takes all that is written, but to topics that are stuck, and replies after `pause_s`; None: never."""

    def __init__(self, **own: Any) -> None:
        self.pause_s: float | None = None
        self.stuck: set[str] = set()
        self.asked: list[str] = []
        settings, gateway = Settings(), GatewaySettings(**own)
        self.breaker = breaker_of(gateway)
        self.metrics = metrics = GatewayMetrics()
        self.outbox = Outbox(Limits(1_000, 1_000_000), lambda _: None, lambda _: None)
        self.replies = Replies(self.breaker.replied, metrics.late_replies.inc)
        connection = Connection(settings, self.outbox, ReplyListener(settings, self.replies), 0)
        connection.partitions = {ASSESSMENTS: PARTITIONS, INQUIRIES: PARTITIONS}
        connection.problem, connection.was_up = None, True
        self.outbox.connect(self)
        self.backend = KafkaBackend(
            connection,
            self.outbox,
            self.replies,
            self.breaker,
            DegradedAnswers(parse_bands(gateway.default_answers)),
            Registry(settings.ruleset),
            metrics,
            gateway.margin_ms / 1000,
            gateway.max_in_flight,
            gateway.max_look_ups,
        )

    def partition_of(self, topic: str, key: bytes | None) -> int:
        return 0

    async def write(self, topic: str, partition: int, records: Sequence[QueuedRecord]) -> int:
        if topic in self.stuck:
            await asyncio.Event().wait()
        for record in records:
            asked = reply_to(record.headers)
            if asked is not None:
                self.asked.append(topic)
                self._reply(asked[1].decode())
        return len(records)

    def _reply(self, reply_id: str) -> None:
        loop = asyncio.get_running_loop()
        if self.pause_s is not None:
            loop.call_later(self.pause_s, lambda: self.replies.take(Reply(reply_id, DECISION, b"{}"), loop.time()))

    async def decide(self, allowed_s: float) -> str:
        """A purchase's answer: "full", or the cause of another."""
        answer = await self.backend.decide(Purchase.model_validate(purchase()), until(allowed_s))
        assert isinstance(answer, Answer)
        return answer.degraded[1] if answer.degraded else "full"

    async def look_up(self, allowed_s: float = 5.0, account_id: str | None = None) -> str:
        """What a look-up comes to."""
        try:
            await self.backend.look_up("t-1", account_id, until(allowed_s))
        except StreamAwayError:
            return "away"
        return "found"

    async def settle(self, allowed_s: float) -> bool:
        """Whether anybody waited for a settlement's result."""
        fields = {"kind": "capture", "transaction_id": "t-1", "account_id": "a-1", "event_time": 1_772_431_200_000}
        before = self.breaker.state
        assert await self.backend.settle(Settlement.model_validate(fields), until(allowed_s)) is None
        return self.breaker.state is not before

    def open(self) -> None:
        """Open the breaker."""
        while self.breaker.state is not BreakerState.OPEN:
            self.breaker.missed(asyncio.get_running_loop().time(), 60.0)

    @property
    def late(self) -> float:
        """How many replies came too late."""
        return self.metrics.registry.get_sample_value("stopbank_gateway_late_replies_total") or 0.0


def until(allowed_s: float) -> Deadline:
    return Deadline(asyncio.get_running_loop().time() + allowed_s)


async def test_whoever_allows_next_to_nothing_does_not_open_the_breaker_for_others() -> None:
    stream = Stream(breaker_failures=2)
    assert [await stream.decide(0.001) for _ in range(10)] == ["deadline"] * 10
    assert stream.breaker.state is BreakerState.CLOSED
    assert [await stream.decide(0.06) for _ in range(3)] == ["deadline", "deadline", "breaker-open"]


async def test_a_short_default_deadline_opens_it_all_the_same() -> None:
    stream = Stream(breaker_failures=2, deadline_ms=20)
    assert [await stream.decide(0.019) for _ in range(3)] == ["deadline", "deadline", "breaker-open"]


async def test_a_request_past_its_deadline_is_answered_and_recorded_without_touching_the_breaker() -> None:
    stream = Stream(breaker_failures=1)
    assert await stream.decide(-0.01) == "deadline"
    assert stream.breaker.state is BreakerState.CLOSED
    stream.open()
    await asyncio.sleep(0.3)
    assert await stream.decide(-0.01) == "deadline"
    assert stream.breaker.state is BreakerState.OPEN
    await stream.outbox.drain(5)
    assert stream.asked == [PURCHASES, PURCHASES]


async def test_a_reply_that_only_the_patient_can_wait_for_does_not_close_the_breaker() -> None:
    stream = Stream(probe_interval_ms=10)
    stream.pause_s = 0.15
    stream.open()
    await asyncio.sleep(0.02)
    assert await stream.decide(60.0) == "full"
    assert stream.breaker.state is not BreakerState.CLOSED
    stream.pause_s = 0.0
    assert await stream.decide(60.0) == "full"
    assert stream.breaker.state is BreakerState.CLOSED


async def test_replies_within_the_margin_come_too_late_and_open_the_breaker() -> None:
    stream = Stream(breaker_failures=3, margin_ms=100)
    # Answers leave after 100 of 200 ms; the replies come 50 ms later.
    stream.pause_s = 0.15
    assert [await stream.decide(0.2) for _ in range(4)] == ["deadline"] * 3 + ["breaker-open"]
    await asyncio.sleep(0.2)
    assert stream.late == 4
    assert stream.breaker.state is BreakerState.OPEN


async def test_look_ups_take_no_room_from_purchases_and_have_a_limit_of_their_own() -> None:
    stream = Stream(max_in_flight=2, max_look_ups=3)
    asking = [asyncio.create_task(stream.look_up(0.3)) for _ in range(3)]
    await asyncio.sleep(0)
    assert stream.replies.awaited == 3 * PARTITIONS
    assert stream.backend.status().in_flight == 3
    assert await stream.look_up() == "away"
    assert await stream.decide(0.1) == "deadline"
    assert await asyncio.gather(*asking) == ["away"] * 3
    stream.pause_s = 0.0
    assert await stream.look_up() == "found"


async def test_settlements_take_no_room_from_purchases() -> None:
    stream = Stream(max_in_flight=1)
    settling = asyncio.create_task(stream.settle(0.2))
    await asyncio.sleep(0)
    assert await stream.decide(0.1) == "deadline"
    await settling


@pytest.mark.parametrize("account_id", [None, "a-1"])
async def test_while_the_breaker_is_open_look_ups_are_told_so_at_once_but_for_one_that_probes(
    account_id: str | None,
) -> None:
    stream = Stream(probe_interval_ms=50)
    stream.open()
    assert await stream.look_up(60.0, account_id) == "away"
    assert stream.asked == []
    await asyncio.sleep(0.06)
    # It misses, and the breaker is as it was.
    assert await stream.look_up(0.06, account_id) == "away"
    assert stream.breaker.state is BreakerState.OPEN
    assert stream.asked == [INQUIRIES] * (1 if account_id else PARTITIONS)
    await asyncio.sleep(0.06)
    stream.pause_s = 0.0
    assert await stream.look_up(5.0, account_id) == "found"
    assert stream.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(("stuck", "opens"), [(PURCHASES, False), (SETTLEMENTS, True)])
async def test_a_settlement_does_not_wait_behind_settlements_that_cannot_be_written(stuck: str, opens: bool) -> None:
    stream = Stream(breaker_failures=1, max_in_flight=10)
    stream.stuck = {stuck}
    stream.outbox.put(stuck, b"a-1", b"{}")
    await asyncio.sleep(1.01)
    # Too short to count as a miss: only what lies before it opens the breaker.
    assert await stream.settle(0.01) is opens
    await stream.outbox.drain(0)
