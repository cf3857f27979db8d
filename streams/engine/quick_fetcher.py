"""What a consumer asks next, found out once for each fetch.

aiokafka's `Fetcher` goes through all partitions twice for each response, also where it can't ask yet: at a low rate a
tenth of all that a worker does. Here the usual case is told at once; all others are aiokafka's own (aio-libs/aiokafka,
consumer/fetcher.py: `Fetcher._get_actions_per_node`).
"""

# aiokafka is typed in part only, and has no other place for this than its private attributes.
# pyright: reportPrivateUsage=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.fetch import FetchRequest

# Requests by broker, resets by broker, how long to wait in seconds, whether metadata is out of date, and what paused
# partitions wait for.
Actions = tuple[list[tuple[int, FetchRequest]], dict[int, list[Any]], float, bool, list[Any]]


class QuickFetcher(Fetcher):
    """A fetcher of a consumer that asks for no records of certain racks."""

    # Typed by what aiokafka makes of it, where it is typed at all.
    def _get_actions_per_node(self, assignment: Any) -> Any:
        untyped: Any = self
        if self._is_waiting():
            return [], {}, untyped._fetcher_timeout, False, []
        return self._all_at_once(assignment) or untyped._in_full(assignment)

    _in_full: Any = Fetcher._get_actions_per_node

    def _is_waiting(self) -> bool:
        """Whether nobody can be asked now: all brokers are, or what the only one has sent is yet to be taken."""
        untyped: Any = self
        brokers = untyped._client.cluster._brokers
        if brokers.keys() <= untyped._in_flight:
            return True
        return len(brokers) == 1 and any(kept.calculate_backoff() for kept in untyped._records.values())

    def _all_at_once(self, assignment: Any) -> Actions | None:
        """A request to each broker for all of its partitions; None where one of them asks for something else."""
        untyped: Any = self
        if untyped._records or untyped._in_flight or untyped._preferred_read_replica:
            return None
        most_bytes, leader_of = untyped._max_partition_fetch_bytes, untyped._client.cluster.leader_for_partition
        asked: dict[int, dict[str, list[tuple[int, int, int]]]] = {}
        for tp, state in assignment._tp_state.items():
            position, leader = state._position, leader_of(tp)
            if position is None or state._paused or leader is None or leader == -1:
                return None
            asked.setdefault(leader, {}).setdefault(tp.topic, []).append((tp.partition, position, most_bytes))
        return (
            [(node, self._request(topics)) for node, topics in asked.items()],
            {},
            untyped._fetcher_timeout,
            False,
            [],
        )

    def _request(self, topics: dict[str, list[tuple[int, int, int]]]) -> FetchRequest:
        untyped: Any = self
        return FetchRequest(
            untyped._fetch_max_wait_ms,
            untyped._fetch_min_bytes,
            untyped._fetch_max_bytes,
            untyped._isolation_level,
            list(topics.items()),
            rack_id=untyped._client_rack or "",
        )


def ask_quickly(consumer: AIOKafkaConsumer) -> None:
    """Let a started consumer find out so what to ask next."""
    fetcher: Any = consumer._fetcher
    # It is made deep inside aiokafka, and has no state beside that of its base.
    fetcher.__class__ = QuickFetcher
