"""Text columns as codes into an Arrow array of words: sorted, cut and put together without a Python text each."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rules.columns.table import MISSING, Codes, TextColumn

Rows = NDArray[np.int64]


class LazyTexts(Sequence[str]):
    """The texts of an Arrow array; they become Python's own when they are first asked for."""

    def __init__(self, words: Any) -> None:
        self._words = words
        self._texts: list[str] | None = None

    def __len__(self) -> int:
        return len(self._words)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._all()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def _all(self) -> list[str]:
        if self._texts is None:
            self._texts = cast(list[str], self._words.to_pylist())
        return self._texts


@dataclass(frozen=True, slots=True)
class Texts:
    """Row i holds `words[codes[i]]`, nothing where the code is MISSING. Words differ; some may be unused."""

    codes: Codes
    words: Any

    @classmethod
    def encode(cls, column: Any) -> Texts:
        """From an Arrow array of texts, in which nulls are what is missing."""
        encoded = column.dictionary_encode()
        return cls(_codes(encoded.indices), encoded.dictionary)

    @classmethod
    def concat(cls, pieces: Sequence[Texts]) -> Texts:
        """One below the other."""
        if len(pieces) == 1:
            return pieces[0]
        used = [piece.compacted() for piece in pieces]
        encoded = pa.concat_arrays([piece.words for piece in used]).dictionary_encode()
        begins = np.cumsum([0, *(len(piece.words) for piece in used)])
        # One place more, for MISSING, which as an index is the last.
        mapping = np.append(_codes(encoded.indices), np.int32(MISSING))
        codes = [
            mapping[np.where(piece.codes == MISSING, MISSING, piece.codes + begin)]
            for piece, begin in zip(used, begins, strict=False)
        ]
        return cls(np.concatenate(codes), encoded.dictionary)

    def take(self, rows: Rows | slice) -> Texts:
        """These rows, in this order."""
        return Texts(self.codes[rows], self.words)

    def compacted(self) -> Texts:
        """The same rows, without words that none of them uses."""
        is_used = np.zeros(len(self.words) + 1, np.bool_)
        is_used[self.codes] = True
        is_used[MISSING] = False
        kept = np.flatnonzero(is_used)
        if len(kept) == len(self.words):
            return self
        mapping = np.full(len(self.words) + 1, MISSING, np.int32)
        mapping[kept] = np.arange(len(kept), dtype=np.int32)
        return Texts(mapping[self.codes], self.words.take(pa.array(kept)))

    def column(self) -> TextColumn:
        """As the columnar evaluator takes it."""
        return TextColumn(self.codes, LazyTexts(self.words))


def _codes(indices: Any) -> Codes:
    return indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
