"""The life of a run: fold it, write its outputs, write its state, finish it; in that order, pipelined.

Outputs are acknowledged before the state that knows of them is written, and the state is acknowledged
before the run may be committed. So what a fence covers is done for good, and what it does not cover is done
again with the same result.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence

from rules.fold import Fold, Output, SourceRecord, StateNotReadyError
from streams.engine.batch import OutgoingRecord, RecordParts
from streams.engine.changelog import encode_changes
from streams.engine.core import Engine
from streams.engine.partition import Run
from streams.engine.partitioner import partition_for
from streams.engine.tables import FoldPartition, FoldTable
from streams.engine.writer import Delivery, Written

# Hears of a run whose outputs are acknowledged.
Observer = Callable[[Run, Sequence[Output]], None]


class ForeignWriterError(Exception):
    """Somebody else wrote to the changelog of a partition that this worker owns."""


class RunPipeline:
    """Processes the runs of one source topic.

    `table` is None for a stateless step, whose fold is then shared and never changes.
    """

    def __init__(
        self,
        engine: Engine,
        finish: Callable[[Run], None],
        *,
        table: FoldTable | None = None,
        stateless: Fold | None = None,
        wait_ready: Callable[[StateNotReadyError], Awaitable[None]] | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._engine = engine
        self._finish = finish
        self._table = table
        self._stateless = stateless
        self._wait_ready = wait_ready
        self._observe = observe
        # By partition, done when the latest run's state is handed to the writer, which keeps the order.
        self._handed_over: dict[int, asyncio.Future[None]] = {}
        self._completing: set[asyncio.Task[None]] = set()

    async def process(self, run: Run) -> None:
        """Fold a run and start its way to durability; returns before it is durable."""
        try:
            await self._process(run)
        except Exception as failure:  # noqa: BLE001  # Faust would take the run for done
            self._engine.fail(failure)

    async def _process(self, run: Run) -> None:
        if run.owner.closed:
            # It counts for nothing; that it no longer takes up room is all there is to say.
            self._finish(run)
            return
        self._engine.pause_guard.verify()
        partition = run.owner.tp.partition
        held = self._held(partition)
        outputs = await self._fold(held.fold if held else self._stateless, run, held)
        state: Sequence[OutgoingRecord] = ()
        if held:
            held.fence = run.end - 1
            state = encode_changes(held.fold.changes(), held.fence)
        writing = self._acknowledged(run, outputs, self._write(outputs))
        earlier, handed_over = self._handed_over.get(partition), asyncio.get_running_loop().create_future()
        self._handed_over[partition] = handed_over
        task = asyncio.create_task(self._complete(run, writing, state, held, earlier, handed_over))
        self._completing.add(task)
        task.add_done_callback(self._completing.discard)

    def _held(self, partition: int) -> FoldPartition | None:
        return self._table.partitions_held[partition] if self._table is not None else None

    async def _fold(self, fold: Fold | None, run: Run, held: FoldPartition | None) -> list[Output]:
        assert fold is not None, "a step without a table needs a stateless fold"
        outputs: list[Output] = []
        for record in _behind(held.fence, run.records) if held else run.records:
            try:
                outputs += fold.apply(record)
            except StateNotReadyError as missing:
                outputs += await self._patiently(fold, record, missing)
        outputs += fold.flush()
        return outputs

    async def _patiently(self, fold: Fold, record: SourceRecord, missing: StateNotReadyError) -> Sequence[Output]:
        """Apply a record once the fold can take it. Raises StateNotReadyError where nobody waits for that."""
        while True:
            if self._wait_ready is None:
                raise missing
            await self._wait_ready(missing)
            try:
                return fold.apply(record)
            except StateNotReadyError as still_missing:
                missing = still_missing

    def _write(self, outputs: Sequence[Output]) -> list[Delivery]:
        """Hand a run's outputs to the writer: those for one partition together and in their order."""
        engine, writer = self._engine, self._engine.writer
        lanes: defaultdict[tuple[str, int], list[RecordParts]] = defaultdict(list)
        for topic, key, value, headers, timestamp_ms, partition in outputs:
            name, partitions = engine.targets[topic]
            if partition is None:
                partition = partition_for(key, partitions) if key is not None else 0
            elif partition >= partitions:
                # Somebody listens where there is nothing: no reason to stand still.
                partition %= partitions
            lanes[name, partition].append((key, value, headers, timestamp_ms))
        deliveries: list[Delivery] = []
        for (name, partition), records in lanes.items():
            deliveries += writer.extend(name, partition, records)
        writer.send()
        return deliveries

    async def _acknowledged(self, run: Run, outputs: Sequence[Output], deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            await delivery
        if self._observe is not None:
            self._observe(run, outputs)

    async def _complete(
        self,
        run: Run,
        writing: Awaitable[None],
        state: Sequence[OutgoingRecord],
        held: FoldPartition | None,
        earlier: asyncio.Future[None] | None,
        handed_over: asyncio.Future[None],
    ) -> None:
        """Wait for the outputs, write the state behind that of the run before, and finish the run when it is there."""
        try:
            await writing
            if earlier is not None:
                await earlier
            delivery = None
            # A partition that was given up is another's: its state is not ours to write any more.
            if held is not None and self._table is not None and not run.owner.closed:
                self._engine.pause_guard.verify()
                changelog = self._table.changelog_tp(run.owner.tp.partition)
                delivery = self._engine.writer.write_together(changelog.topic, changelog.partition, state)
            handed_over.set_result(None)
            if held is not None and delivery is not None:
                self._note(held, await delivery, run.end - 1)
            self._finish(run)
        except Exception as failure:  # noqa: BLE001  # whatever it is, it ends the process
            self._engine.fail(failure)

    def _note(self, held: FoldPartition, written: Written, fence: int) -> None:
        held.durable_fence = fence
        if written.base_offset < 0:
            held.changelog_end = None
            return
        end = written.base_offset + written.records
        # Several runs may share a batch, and its end. Anything else between two batches was not written here.
        if held.changelog_end not in (None, written.base_offset, end):
            raise ForeignWriterError(
                f"the changelog went from offset {held.changelog_end} to {written.base_offset} by another's hand: "
                "a worker that had lost the partition, or two groups of workers with one set of topics"
            )
        held.changelog_end = end


def _behind(fence: int, records: Sequence[SourceRecord]) -> Sequence[SourceRecord]:
    """The records that a fold has not applied yet."""
    if records[0].offset > fence:
        return records
    return [record for record in records if record.offset > fence]
