"""When records leave, and that all arrive once and in order, by a producer's own parts and brokers in memory."""

# aiokafka is typed in part only, and what is looked into here has no public name.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import NotLeaderForPartitionError
from aiokafka.protocol.produce import ProduceResponse_v7
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.batch import OutgoingRecord
from streams.engine.quick_sender import QuickSender
from streams.engine.writer import BatchWriter, Delivery, RecordTooLargeError
from tests.streams.test_quick_sender import sender_of

NOT_LEADER = NotLeaderForPartitionError.errno
LULL_S = 0.01
# Outputs or state for a partition; what the brokers do.
steps = st.lists(
    st.tuples(st.sampled_from(["output", "output", "state"]), st.integers(0, 3))
    | st.sampled_from([("answer", 0), ("answer", 0), ("refuse", 0)]),
    max_size=25,
)


class Brokers:
    """Two brokers that lead the even and the odd partitions; they answer when a test says so."""

    def __init__(self) -> None:
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: tp.partition % 2)  # pyright: ignore[reportUnknownLambdaType]
        # Of each request: the records' values by topic and partition.
        self.sent: list[dict[tuple[str, int], list[bytes]]] = []
        self.logs = defaultdict[tuple[str, int], list[bytes]](list)
        self.waiting: list[tuple[dict[tuple[str, int], list[bytes]], asyncio.Future[Any]]] = []

    async def send(self, node_id: int, request: Any) -> Any:
        held = {(topic, number): values_in(raw) for topic, partitions in request._topics for number, raw in partitions}
        assert {number % 2 for _, number in held} == {node_id}
        self.sent.append(held)
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((held, answer))
        return await answer

    async def answer(self, error_code: int = 0) -> None:
        if self.waiting:
            held, answer = self.waiting.pop(0)
            if not error_code:
                for lane, values in held.items():
                    self.logs[lane] += values
            topics = [(topic, [(number, error_code, 7, -1, 0)]) for topic, number in held]
            answer.set_result(ProduceResponse_v7(topics, 0))
        await settle()

    def force_metadata_update(self) -> None:
        pass

    async def _maybe_wait_metadata(self) -> None:
        pass


def values_in(raw: Any) -> list[bytes]:
    batch: Any = MemoryRecords(bytes(raw)).next_batch()
    return [record.value for record in batch]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(gap_s: float = 0.0, lull_s: float = LULL_S) -> AsyncGenerator[tuple[BatchWriter, Brokers]]:
    brokers: Any = Brokers()
    sender, accumulator = sender_of(QuickSender, brokers)
    producer: Any = SimpleNamespace(client=brokers, _message_accumulator=accumulator, _sender=sender)
    await sender.start()
    writer = BatchWriter(producer, fail, most_bytes=500, most_together_bytes=2_000, gap_s=gap_s, lull_s=lull_s)
    try:
        yield writer, brokers
    finally:
        # A sender ends when all that it sent is answered.
        while brokers.waiting:
            await brokers.answer()
        await sender.close()


def fail(failure: BaseException) -> None:
    raise AssertionError from failure


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def told() -> None:
        await story()

    asyncio.run(told())


def output(writer: BatchWriter, partition: int, *values: bytes) -> list[Delivery]:
    deliveries = writer.extend("out", partition, [OutgoingRecord(b"k", value) for value in values])
    writer.send()
    return deliveries


def state(writer: BatchWriter, partition: int, *values: bytes) -> Delivery:
    return writer.write_together("state", partition, [OutgoingRecord(b"k", value) for value in values])


@given(steps)
def test_all_arrives_once_and_in_order_whatever_the_brokers_do(story: list[tuple[str, int]]) -> None:
    async def told() -> None:
        async with running(lull_s=0.0) as (writer, brokers):
            written, deliveries = defaultdict[tuple[str, int], list[bytes]](list), list[Delivery]()
            for number, (what, partition) in enumerate(story):
                value = b"%d" % number * 40
                if what == "output":
                    deliveries += output(writer, partition, value)
                    written["out", partition].append(value)
                elif what == "state":
                    deliveries.append(state(writer, partition, value))
                    written["state", partition].append(value)
                else:
                    await brokers.answer(NOT_LEADER if what == "refuse" else 0)
            await settle()
            for _ in range(4 * len(story)):
                await brokers.answer()
            assert all(delivery.done() for delivery in deliveries)
            assert brokers.logs == written

    run(told)


def test_a_record_leaves_at_once_and_what_comes_meanwhile_leaves_together_when_it_is_answered() -> None:
    async def story() -> None:
        async with running() as (writer, brokers):
            output(writer, 0, b"a")
            await settle()
            assert brokers.sent == [{("out", 0): [b"a"]}]
            for value in (b"b", b"c"):
                output(writer, 0, value)
                await settle()
            output(writer, 2, b"d")
            await settle()
            assert len(brokers.sent) == 1
            await brokers.answer()
            assert brokers.sent[1:] == [{("out", 0): [b"b", b"c"], ("out", 2): [b"d"]}]

    run(story)


def test_what_is_sent_in_one_turn_leaves_in_one_request() -> None:
    async def story() -> None:
        async with running() as (writer, brokers):
            output(writer, 0, b"a")
            output(writer, 2, b"b")
            output(writer, 0, b"c")
            await settle()
            assert brokers.sent == [{("out", 0): [b"a", b"c"], ("out", 2): [b"b"]}]

    run(story)


def test_nobody_waits_for_the_answer_of_another_broker() -> None:
    async def story() -> None:
        async with running() as (writer, brokers):
            output(writer, 0, b"a")
            await settle()
            output(writer, 1, b"b")
            await settle()
            assert brokers.sent == [{("out", 0): [b"a"]}, {("out", 1): [b"b"]}]

    run(story)


def test_state_leaves_with_the_outputs_that_go_next() -> None:
    async def story() -> None:
        async with running(lull_s=60.0) as (writer, brokers):
            state(writer, 0, b"s", b"t")
            await settle()
            assert not brokers.sent
            output(writer, 2, b"a")
            await settle()
            assert brokers.sent == [{("state", 0): [b"s", b"t"], ("out", 2): [b"a"]}]

    run(story)


def test_state_leaves_alone_when_no_outputs_do() -> None:
    async def story() -> None:
        async with running() as (writer, brokers):
            delivery = state(writer, 0, b"s")
            await asyncio.sleep(2 * LULL_S)
            await settle()
            assert brokers.sent == [{("state", 0): [b"s"]}]
            await brokers.answer()
            assert (await delivery).records == 1

    run(story)


def test_state_that_is_alone_waits_for_no_answer_to_leave_with() -> None:
    async def story() -> None:
        async with running() as (writer, brokers):
            output(writer, 0, b"a")
            await settle()
            state(writer, 0, b"s")
            await asyncio.sleep(2 * LULL_S)
            await settle()
            assert len(brokers.sent) == 1
            await brokers.answer()
            assert brokers.sent[1:] == [{("state", 0): [b"s"]}]

    run(story)


def test_where_a_broker_takes_few_requests_they_leave_apart() -> None:
    async def story() -> None:
        async with running(gap_s=0.02) as (writer, brokers):
            loop, sent_s = asyncio.get_running_loop(), list[float]()
            for value in (b"a", b"b"):
                delivery = output(writer, 0, value)[0]
                while not delivery.done():
                    await asyncio.sleep(0.001)
                    await brokers.answer()
                sent_s.append(loop.time())
            assert sent_s[1] - sent_s[0] >= 0.015

    run(story)


def test_outputs_that_are_too_many_for_one_batch_leave_in_several_and_state_in_none() -> None:
    async def story() -> None:
        async with running(lull_s=0.0) as (writer, brokers):
            values = [b"%d" % number * 100 for number in range(9)]
            deliveries = output(writer, 0, *values)
            assert len(deliveries) > 1
            assert (await answered(brokers, state(writer, 0, *values))).records == 9
            assert brokers.logs["out", 0] == values
            with pytest.raises(RecordTooLargeError, match="state"):
                state(writer, 0, *[b"x" * 100] * 30)

    run(story)


async def answered(brokers: Brokers, delivery: Delivery) -> Any:
    for _ in range(20):
        await asyncio.sleep(0.001)
        await brokers.answer()
    return await delivery


async def test_state_for_an_idle_broker_leaves_though_another_owes_an_answer_for_which_others_wait() -> None:
    record = (b"k", b"v", (), None)
    async with running(lull_s=0.001) as (writer, brokers):
        for _ in range(2):
            writer.extend("out", 0, [record])
            writer.send()
            await settle()
        writer.write_together("state", 1, [record])
        await asyncio.sleep(0.02)
        await settle()
        assert [*brokers.sent[1]] == [("state", 1)]
