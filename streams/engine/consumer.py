"""The consumer of a Stopbank worker: Faust's interface, with ownership of partitions in our own hands.

Faust's consumer moves read positions and acknowledgements by a flow control that has lost events in
rebalances. Here aiokafka's group membership says what is assigned, `OwnedPartition` says what may be taken
and committed, and a partition is opened only when its fold has been read back to the end of its changelog.
"""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP, Message

from rules.fold import SourceRecord
from streams.engine.faust_consumer import COMMIT_INTERVAL_S, ConsumerForFaust
from streams.engine.fetch_codec import fetch_quickly
from streams.engine.fetched import unpack_at_once
from streams.engine.opening import Opening
from streams.engine.partition import OwnedPartition, Run, cut_into_runs
from streams.engine.quick_fetcher import ask_quickly
from streams.reconnect import unhurried

log = structlog.get_logger(__name__)

# What may be in flight in the worker before it stops fetching; a few fetches' worth.
MAX_IN_FLIGHT_BYTES = 4_000_000
_INTAKE_POLL_MS = 500


class _Listener(ConsumerRebalanceListener):
    """Passes aiokafka's rebalance calls on."""

    def __init__(self, consumer: RunConsumer) -> None:
        self._consumer = consumer

    # aiokafka awaits these where they are coroutines, which its types do not say.
    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await self._consumer.give_up()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await self._consumer.take_over(set(assigned))


class RunConsumer(ConsumerForFaust):
    """Delivers runs of records to Faust's conductor, in order, from partitions that this worker owns."""

    def __init__(self, transport: Any, callback: Any, *_: Any, **kwargs: Any) -> None:
        super().__init__(transport, callback, **kwargs)
        self._owned: dict[TopicPartition, OwnedPartition] = {}
        self._in_flight_bytes = 0
        self._changed = asyncio.Event()
        self._giving_up = asyncio.Lock()
        self._opening: asyncio.Task[None] | None = None
        self._draining = False
        self._consumer: AIOKafkaConsumer | None = None
        self.generation = 0

    # -- life ---------------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Connect. Raises aiokafka's errors where no broker answers."""
        options = self.app.engine.consumer_options()
        self._consumer = unhurried(AIOKafkaConsumer(**options))
        await self._consumer.start()
        unpack_at_once(self._consumer)
        fetch_quickly(self._consumer)
        ask_quickly(self._consumer)
        self.add_future(self._guarded(self._take_in()))
        self.add_future(self._guarded(self._commit_forever()))

    async def on_stop(self) -> None:
        """Leave the group; what was finished has been committed by `drain`."""
        if self._opening is not None:
            self._opening.cancel()
        if self._consumer is not None:
            await self._consumer.stop()

    async def drain(self) -> None:
        """Stop taking records, finish what is in flight, commit: the clean way out."""
        self._draining = True
        await self.give_up()

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as failure:  # noqa: BLE001  # whatever it is, it ends the process
            self.app.fail(failure)

    @property
    def group(self) -> AIOKafkaConsumer:
        """The aiokafka consumer beneath. Raises RuntimeError before the start."""
        if self._consumer is None:
            raise RuntimeError("the consumer has not been started")
        return self._consumer

    # -- ownership ----------------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group for these topics."""
        names = sorted(set(topics))
        log.info("subscribing", topics=names)
        self.group.subscribe(names, listener=_Listener(self))

    async def give_up(self) -> None:
        """Before a rebalance or the end: finish what is in flight, commit it, close every partition."""
        # The end may come while a rebalance still waits for runs in flight: it has to wait for them too.
        async with self._giving_up:
            await self._give_up()

    async def _give_up(self) -> None:
        self.app.on_ownership_change(ready=False)
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        owned = list(self._owned.values())
        # From here on `_take_in` finds no partition to take records for.
        self._owned = {}
        drained = await self._wait_until_idle(owned)
        await self._commit(owned)
        for partition in owned:
            if partition.idle:
                continue
            # Its fold has applied what its changelog may never see: it must be read back.
            log.warning("gave up with runs in flight", partition=str(partition.tp))
            self.app.engine.forget_fold(partition.tp)
        for partition in owned:
            partition.close()
        if drained:
            self._in_flight_bytes = 0
        self._changed.set()
        log.info("gave up", partitions=len(owned), drained=drained)

    async def take_over(self, assigned: set[TopicPartition]) -> None:
        """After a rebalance: hold the assigned partitions closed, and open each as its fold is ready."""
        self.group.pause(*assigned)
        self.generation += 1
        self.app.consumer_generation_id = self.generation
        self.app.flow_control.resume()
        await self.app.topics.on_partitions_assigned({TP(tp.topic, tp.partition) for tp in assigned})
        if self._draining:
            return
        patience_s = self.app.engine.config.hole_patience_s
        self._owned = {tp: OwnedPartition(tp, patience_s) for tp in assigned}
        self.app.engine.keep_only(assigned)
        log.info("took over", partitions=[f"{tp.topic}-{tp.partition}" for tp in sorted(assigned)])
        self._opening = asyncio.create_task(self._guarded(self._open_all(self._owned)))

    async def _open_all(self, owned: Mapping[TopicPartition, OwnedPartition]) -> None:
        await Opening(self.app.engine, self.group, owned).open_all(self.app.on_expired)
        self.app.on_ownership_change(ready=True)

    async def _wait_until_idle(self, owned: list[OwnedPartition]) -> bool:
        """Wait for runs in flight, no longer than the group allows; False where some remain."""
        deadline = asyncio.get_running_loop().time() + self.app.engine.drain_s
        while not all(partition.idle for partition in owned):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return False
        return True

    # -- records in ---------------------------------------------------------------------------------

    async def _take_in(self) -> None:
        while not self.should_stop:
            await self._wait_for_room()
            if self._draining or not self.group.assignment():
                await self._sleep_until_changed()
                continue
            fetched = await self.group.getmany(timeout_ms=_INTAKE_POLL_MS)
            for tp, records in fetched.items():
                await self._deliver(tp, cast(Any, records))

    async def _deliver(self, tp: TopicPartition, records: list[SourceRecord]) -> None:
        partition = self._owned.get(tp)
        if partition is None:
            return
        admission = partition.admit(records, time.monotonic())
        if admission.reread_from is not None:
            if not admission.is_known:
                log.warning("a hole, reading again", partition=str(tp), at=admission.reread_from)
            self.group.seek(tp, admission.reread_from)
        # All are taken before any is passed on: that may wait, and the partition may be given up meanwhile.
        taken_s = time.monotonic()
        runs = [partition.take(cut, taken_s, size_bytes) for cut, size_bytes in cut_into_runs(admission.records)]
        self._in_flight_bytes += sum(run.size_bytes for run in runs)
        for run in runs:
            await self.callback(self._message(tp, run))

    def _message(self, tp: TopicPartition, run: Run) -> Message:
        last = run.records[-1]
        return Message(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            0,
            None,
            None,
            cast(Any, run),
            None,
            0,
            0,
            TP(tp.topic, tp.partition),
            generation_id=self.generation,
        )

    def finish(self, run: Run) -> None:
        """A run's outputs and state are durable: it may be committed."""
        run.owner.finish(run)
        self._in_flight_bytes -= run.size_bytes
        self._changed.set()

    async def _wait_for_room(self) -> None:
        while self._in_flight_bytes > MAX_IN_FLIGHT_BYTES and not self.should_stop:
            await self._sleep_until_changed()

    async def _sleep_until_changed(self) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), 0.1)
        except TimeoutError:
            return

    # -- commits ------------------------------------------------------------------------------------

    async def _commit_forever(self) -> None:
        while not self.should_stop:
            await asyncio.sleep(COMMIT_INTERVAL_S)
            await self._commit(list(self._owned.values()))

    async def _commit(self, owned: list[OwnedPartition]) -> None:
        due = {p: offset for p in owned if (offset := p.to_commit()) is not None}
        if not due:
            return
        offsets = {p.tp: OffsetAndMetadata(offset, "") for p, offset in due.items()}
        try:
            await self.group.commit(offsets)
        except (KafkaError, RuntimeError, AssertionError) as failure:
            # Nothing is lost: the fences say what was applied, and the next owner starts there.
            log.warning("commit failed", error=repr(failure))
            return
        for partition, offset in due.items():
            partition.committed = offset

    # -- what others ask ----------------------------------------------------------------------------

    def assignment(self) -> set[TP]:
        """The partitions that this worker owns."""
        return {TP(tp.topic, tp.partition) for tp in self._owned}

    def owned_partitions(self) -> list[OwnedPartition]:
        """The partitions held now, open or not."""
        return list(self._owned.values())

    def stuck_s(self) -> float:
        """How long the oldest run in flight has been on its way, in seconds; 0 where there is none."""
        taken_s = [at_s for partition in self._owned.values() if (at_s := partition.oldest_taken_s) is not None]
        return time.monotonic() - min(taken_s) if taken_s else 0.0

    def highwater(self, tp: TP) -> int:
        """The broker's high watermark as last seen, 0 where it was not."""
        return self.group.highwater(TopicPartition(tp.topic, tp.partition)) or 0

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is finished."""
        await self._commit(list(self._owned.values()))
        return True
