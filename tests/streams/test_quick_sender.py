"""When a producer sends what, held against aiokafka's own way."""

# aiokafka is typed in part only, and what is compared here has no public name.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NotLeaderForPartitionError
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender
from aiokafka.protocol.produce import ProduceResponse_v7
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.quick_sender import QuickSender

NOT_LEADER = NotLeaderForPartitionError.errno
# Batches for a partition; answers to the oldest request, or a refusal that is tried again; a leader that is found.
steps = st.lists(st.integers(0, 5) | st.sampled_from(["answer", "answer", "refuse", "lead"]), max_size=15)


class Brokers:
    """Two brokers that lead the even and the odd partitions; requests are noted, and answered when a test says so."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, list[int]]] = []
        self.waiting: list[tuple[list[int], asyncio.Future[Any]]] = []
        # The one that nobody leads at first.
        self.unled = {5}
        self.updated: list[asyncio.Future[None]] = []
        self.cluster = SimpleNamespace(leader_for_partition=self.leader)

    def leader(self, tp: TopicPartition) -> int | None:
        return None if tp.partition in self.unled else tp.partition % 2

    async def send(self, node_id: int, request: Any) -> Any:
        numbers = sorted(number for _, parts in request._topics for number, _ in parts)
        self.sent.append((node_id, numbers))
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((numbers, answer))
        return await answer

    def force_metadata_update(self) -> asyncio.Future[None]:
        self.updated.append(asyncio.get_running_loop().create_future())
        return self.updated[-1]

    async def _maybe_wait_metadata(self) -> None:
        pass

    def answer(self, error_code: int) -> None:
        if self.waiting:
            numbers, answer = self.waiting.pop(0)
            parts = [(number, error_code, 7, -1, 0) for number in numbers]
            answer.set_result(ProduceResponse_v7([("decisions", parts)], 0))

    def lead(self) -> None:
        self.unled.clear()
        for update in self.updated:
            if not update.done():
                update.set_result(None)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def sender_of(kind: type[Sender], brokers: Any) -> tuple[Any, MessageAccumulator]:
    accumulator = MessageAccumulator(brokers.cluster, 1_000, 0, 30)
    sender = kind(
        brokers,
        acks=-1,
        txn_manager=None,
        message_accumulator=accumulator,
        retry_backoff_ms=0,
        request_timeout_ms=1_000,
    )
    return sender, accumulator


async def told(kind: type[Sender], story: list[int | str]) -> tuple[list[Any], list[bool]]:
    """The requests after each step, and which of the batches were delivered in the end."""
    brokers: Any = Brokers()
    sender, accumulator = sender_of(kind, brokers)
    await sender.start()
    seen: list[Any] = []
    futures: list[asyncio.Future[Any]] = []
    for step in story:
        if isinstance(step, int):
            builder = accumulator.create_builder()
            builder.append(timestamp=1, key=b"k", value=b"v")
            futures.append(accumulator._append_batch(builder, TopicPartition("decisions", step)).future)
        elif step == "lead":
            brokers.lead()
        else:
            brokers.answer(0 if step == "answer" else NOT_LEADER)
        await settle()
        seen.append(list(brokers.sent))
    brokers.lead()
    for _ in range(2 * len(story) + 2):
        brokers.answer(0)
        await settle()
    await sender.close()
    return seen, [future.done() for future in futures]


@given(steps)
def test_requests_leave_when_aiokafka_would_send_them_and_all_arrives(story: list[int | str]) -> None:
    ours, theirs = asyncio.run(told(QuickSender, story)), asyncio.run(told(Sender, story))
    assert ours == theirs
    assert all(ours[1])


def test_a_fault_of_the_producer_fails_all_that_waits() -> None:
    async def story() -> None:
        brokers: Any = Brokers()
        sender, accumulator = sender_of(QuickSender, brokers)
        await sender.start()
        batches: list[asyncio.Future[Any]] = []
        for number in (0, 0):
            builder = accumulator.create_builder()
            builder.append(timestamp=1, key=b"k", value=b"v")
            batches.append(accumulator._append_batch(builder, TopicPartition("decisions", number)).future)
        await settle()
        brokers.waiting[0][1].set_exception(ZeroDivisionError())
        await settle()
        for batch in batches:
            with pytest.raises(KafkaError):
                batch.result()

    asyncio.run(story())
