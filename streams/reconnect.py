"""How often a client looks for brokers that are away.

aiokafka looks again at once when no broker answered, and whoever has records to write asks it to: while a broker is
away a process is busy with nothing else, and takes the time from those beside it that could answer
(aio-libs/aiokafka, client.py: `_md_synchronizer`; in Kafka's own clients this is `reconnect.backoff.ms`).
"""

# aiokafka is typed in part only, and has no other place for this than its private methods.
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

# Some broker is found at most so late after it is back.
RECONNECT_WAIT_S: Final = 0.25

Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient)


def unhurried(client: Client) -> Client:
    """The same client, which waits for `RECONNECT_WAIT_S` after each search that found no broker."""
    beneath: Any = client.client if isinstance(client, AIOKafkaProducer) else client._client
    search = beneath._metadata_update

    async def search_and_wait(cluster: Any, topics: Any) -> bool:
        found: bool = await search(cluster, topics)
        if not found:
            await asyncio.sleep(RECONNECT_WAIT_S)
        return found

    beneath._metadata_update = search_and_wait
    return client
