"""How a producer finds out what to send next, by one future instead of a set of them.

aiokafka's `Sender` waits for any of many things by `asyncio.wait`, twice for each request, which costs about as much as
the request. Here whatever it may be waiting for wakes it by the same future (aio-libs/aiokafka, producer/sender.py:
`Sender._sender_routine`, without transactions, of which Stopbank has none).
"""

# aiokafka is typed in part only, and has no other place for this than its private attributes.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.sender import Sender


class QuickSender(Sender):
    """A sender of a producer without transactions."""

    async def _sender_routine(self) -> None:
        untyped: Any = self
        sending: set[asyncio.Task[None]] = set()
        try:
            while True:
                await untyped._maybe_wait_for_pid()
                for task in [task for task in sending if task.done()]:
                    sending.discard(task)
                    # None fails but by a fault of the producer's own.
                    task.result()
                leaders_known = self._send_what_may_leave(sending)
                if leaders_known:
                    await asyncio.shield(untyped._message_accumulator.waiter())
                else:
                    await asyncio.wait(
                        {untyped.client.force_metadata_update(), *sending}, return_when=asyncio.FIRST_COMPLETED
                    )
        except asyncio.CancelledError:
            for task in sending:
                await task
        except KafkaError:
            raise
        except Exception as failure:
            raise KafkaError("Unexpected error during batch delivery") from failure

    def _send_what_may_leave(self, sending: set[asyncio.Task[None]]) -> bool:
        """A request to each broker that has none to answer; False where some partition's leader is not known."""
        untyped: Any = self
        accumulator = untyped._message_accumulator
        # Makes a new future to wait for.
        batches, leader_unknown = accumulator.drain_by_nodes(
            ignore_nodes=untyped._in_flight, muted_partitions=untyped._muted_partitions
        )
        for node_id, of_node in batches.items():
            untyped._in_flight.add(node_id)
            untyped._muted_partitions.update(of_node)
            task = asyncio.create_task(untyped._send_produce_req(node_id, of_node))
            task.add_done_callback(self._wake)
            sending.add(task)
        return not leader_unknown

    def _wake(self, _: Any) -> None:
        untyped: Any = self
        waiter: asyncio.Future[None] = untyped._message_accumulator.waiter()
        if not waiter.done():
            waiter.set_result(None)


def send_quickly(producer: AIOKafkaProducer) -> None:
    """Let a producer that is not started yet send so."""
    untyped: Any = producer
    # It is made deep inside aiokafka, and has no state beside that of its base.
    untyped._sender.__class__ = QuickSender
