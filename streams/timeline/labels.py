"""Labels: what purchases turned out to be, and when that became known, by transaction."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rules.columns.table import NEVER_MS, Bools, Ints
from streams.recording.reader import Recording
from streams.timeline.hashing import Hashes, hash_texts
from streams.timeline.label_columns import LabelColumns, columns_of, in_columns
from streams.timeline.label_file import FRAUD, read_label_file
from streams.timeline.recorded_labels import RecordedLabels
from streams.timeline.texts import Texts

UNLABELLED: Final = 0

Verdicts = NDArray[np.int8]


class LabelTable:
    """For each labelled transaction its newest verdict, and when it was first known to be fraud, NEVER_MS if never.

    Of two labels with one time the later in the recording, or in the file, is the newer; a file's come after those
    recorded. `bad_records` counts recorded labels that can't be read.
    """

    def __init__(self, labels: Iterable[LabelColumns], file: str = "") -> None:
        """`file` names in messages where labels with a line are from."""
        self._file = file
        self.bad_records = 0
        columns, verdict, event_time_ms, line = LabelColumns.concat(list(labels) or [columns_of(())])
        transactions = Texts.encode(columns)
        newest = np.lexsort((event_time_ms, transactions.codes))
        ends = np.flatnonzero(np.diff(transactions.codes[newest], append=-1))
        fraud_known_ms = np.full(len(transactions.words), NEVER_MS, np.int64)
        is_fraud = verdict == FRAUD
        np.minimum.at(fraud_known_ms, transactions.codes[is_fraud], event_time_ms[is_fraud])
        lines = np.zeros(len(transactions.words), np.int64)
        from_file = np.flatnonzero(line)[::-1]
        lines[transactions.codes[from_file]] = line[from_file]
        hashes = hash_texts(transactions.words)
        order = np.argsort(hashes, kind="stable")
        self._hashes: Hashes = hashes[order]
        self._transactions = transactions.words.take(pa.array(order))
        # Transactions with one hash lie side by side: how many at most.
        self._most_alike = int(np.unique(hashes, return_counts=True)[1].max(initial=0))
        self._verdicts: Verdicts = verdict[newest[ends]][order].astype(np.int8)
        self._fraud_known_ms: Ints = fraud_known_ms[order]
        self._lines: Ints = lines[order]

    def __len__(self) -> int:
        return len(self._hashes)

    @classmethod
    def empty(cls) -> LabelTable:
        """No labels."""
        return cls(())

    def join(self) -> Joined:
        """Begin a pass."""
        return Joined(self)

    def places(self, transactions: Texts) -> Ints:
        """Where each row's transaction is in the table, -1 where it is not."""
        words = transactions.words
        found = np.full(len(words) + 1, -1, np.int64)
        if len(self):
            hashes = hash_texts(words)
            at = np.searchsorted(self._hashes, hashes)
            for step in range(self._most_alike):
                place = np.minimum(at + step, len(self) - 1)
                maybe = np.flatnonzero(self._hashes[place] == hashes)
                same = pc.equal(words.take(pa.array(maybe)), self._transactions.take(pa.array(place[maybe])))
                hits = maybe[same.to_numpy(zero_copy_only=False)]
                found[hits] = place[hits]
        return found[transactions.codes]

    def at(self, places: Ints) -> tuple[Verdicts, Ints]:
        """Verdicts, and when fraud became known, at these places; -1 for none."""
        return np.append(self._verdicts, np.int8(UNLABELLED))[places], np.append(self._fraud_known_ms, NEVER_MS)[places]

    def unknown(self, is_met: Bools) -> tuple[int, str | None]:
        """How many transactions of the file no purchase had, and the first of them with its place in the file."""
        unknown = np.flatnonzero(~is_met & (self._lines > 0))
        if not len(unknown):
            return 0, None
        first = unknown[np.argmin(self._lines[unknown])]
        return len(unknown), f"{self._file}:{self._lines[first]}: {self._transactions[int(first)].as_py()}"

    @classmethod
    def read(cls, recording: Recording, file: Path | None = None) -> LabelTable:
        """The labels that were recorded, if any were, and those of a file. Raises RecordingError and LabelFileError."""
        recorded = RecordedLabels(recording)
        from_file = in_columns(read_label_file(file)) if file is not None else ()
        table = cls(chain(recorded, from_file), str(file or ""))
        table.bad_records = recorded.bad_records
        return table


class Joined:
    """A pass of purchases by a table of labels."""

    def __init__(self, table: LabelTable) -> None:
        self._table = table
        self._is_met = np.zeros(len(table) + 1, np.bool_)

    def of(self, transactions: Texts) -> tuple[Verdicts, Ints]:
        """Each row's newest verdict, and when it became known as fraud."""
        places = self._table.places(transactions)
        self._is_met[places] = True
        return self._table.at(places)

    def unknown(self) -> tuple[int, str | None]:
        """See `LabelTable.unknown`; when the pass is finished."""
        return self._table.unknown(self._is_met[:-1])
