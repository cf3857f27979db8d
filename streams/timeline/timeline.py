"""A recording in canonical order: by event time, then topic, partition and offset, so that nothing is late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast, overload

import numpy as np
from numpy.typing import NDArray

from models.account import CreditLimit, Repayment
from rules.columns.table import PurchaseColumns
from streams.recording.reader import Recording
from streams.timeline.accounts import AccountFronts, AccountMerge
from streams.timeline.batch import Batch
from streams.timeline.labels import Joined, LabelTable
from streams.timeline.merge import PurchaseMerge, SegmentFronts
from streams.timeline.repeats import Repeats
from streams.topics import PURCHASES

BLOCK_ROWS: Final = 65_536


class AccountEvent(NamedTuple):
    """A credit limit or a repayment that takes effect before the block's purchase number `row`."""

    row: int
    event: CreditLimit | Repayment


class Block(NamedTuple):
    """n purchases in canonical order, each transaction once, and what took place between them.

    `values` is their JSON as recorded. `verdicts` has each purchase's newest label: UNLABELLED, GENUINE or FRAUD
    (see `streams.timeline.labels`).
    """

    columns: PurchaseColumns
    values: Sequence[bytes]
    accounts: Sequence[AccountEvent]
    verdicts: NDArray[np.int8]


@dataclass
class TimelineCounts:
    """What a pass met. `purchases` are those in blocks; the others of the topic were left out, each counted once.

    `labels` are the labels of the table, `unknown_labels` those from a file that no purchase has;
    `first_unknown_label` names the first of them. `first_ms` and `last_ms` are event times, 0 without purchases.
    """

    purchases: int = 0
    repeats: int = 0
    conflicts: int = 0
    malformed: int = 0
    future: int = 0
    oversized: int = 0
    bad_account_records: int = 0
    labels: int = 0
    unknown_labels: int = 0
    first_unknown_label: str | None = None
    first_ms: int = 0
    last_ms: int = 0


class Timeline:
    """A recording's purchases, as often as they are asked for.

    `rows` is how many are recorded. `counts` is of the last pass that was finished; `rows_held_max` is how many
    purchases that pass had in memory at most, beside the block it handed out.
    """

    def __init__(self, recording: Recording, labels: LabelTable | None = None, *, block_rows: int = BLOCK_ROWS) -> None:
        """Without `labels` no purchase has any. Raises RecordingError where no purchases were recorded."""
        recording.require(PURCHASES)
        self._recording = recording
        self._labels = labels if labels is not None else LabelTable.empty()
        self._block_rows = block_rows
        self._fronts = SegmentFronts(recording)
        self._account_fronts = AccountFronts(recording)
        self.rows = recording.manifest.rows(PURCHASES)
        self.counts = TimelineCounts()
        self.rows_held_max = 0

    def blocks(self) -> Iterator[Block]:
        """One pass from the beginning, in blocks of `block_rows` purchases at most. Raises RecordingError.

        Limits and repayments after the last purchase change nothing and are left out.
        """
        merge = PurchaseMerge(self._recording, self._fronts, self._block_rows)
        accounts = AccountMerge(self._account_fronts)
        labels, repeats, counts = self._labels.join(), Repeats(), TimelineCounts()
        for batch in merge.batches():
            rows = repeats.first_rows(batch)
            kept = batch if rows is None else batch.take(rows)
            if not len(kept):
                continue
            if not counts.purchases:
                counts.first_ms = int(kept.event_time_ms[0])
            counts.last_ms = int(kept.event_time_ms[-1])
            counts.purchases += len(kept)
            yield _block(kept, labels, accounts)
        counts.repeats, counts.conflicts = repeats.repeats, repeats.conflicts
        refused = merge.refused
        counts.malformed, counts.future, counts.oversized = refused.malformed, refused.future, refused.oversized
        counts.bad_account_records = self._account_fronts.bad_records
        counts.labels = len(self._labels)
        counts.unknown_labels, counts.first_unknown_label = labels.unknown()
        self.counts, self.rows_held_max = counts, merge.rows_held_max


class _Values(Sequence[bytes]):
    """The values of an Arrow array; they become Python's own when they are first asked for."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self._values: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self._array)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        return self._all()[index]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._all())

    def _all(self) -> list[bytes]:
        if self._values is None:
            self._values = cast(list[bytes], self._array.to_pylist())
        return self._values


def _block(batch: Batch, labels: Joined, accounts: AccountMerge) -> Block:
    texts = {field: column.compacted() for field, column in batch.texts.items()}
    transactions = texts["transaction_id"]
    verdicts, fraud_known_ms = labels.of(transactions)
    columns = PurchaseColumns(
        batch.event_time_ms,
        batch.amount_minor,
        {field: column.column() for field, column in texts.items()},
        batch.instalments,
        None if batch.attributes is None else cast(Any, batch.attributes),
        fraud_known_ms,
    )
    events = [
        AccountEvent(int(np.searchsorted(batch.event_time_ms, event.event_time)), event)
        for event in accounts.until(int(batch.event_time_ms[-1]))
    ]
    return Block(columns, _Values(batch.values), events, verdicts)
