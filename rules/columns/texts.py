"""Texts by number, the same number in every table of a run."""

from __future__ import annotations

import numpy as np

from rules.columns.table import MISSING, Ints, TextColumn

# Below this many texts it is not worth while to forget any.
_FEW = 4096


class TextNumbers:
    """The numbers of one field's texts, 0 and up, handed out in the order in which they are first seen."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        # With so many it is looked again how many of them are still used.
        self._many = _FEW

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, column: TextColumn) -> Ints:
        """The number of each row's text, MISSING where there is none; texts not seen before get one."""
        numbers = self._numbers
        known = np.fromiter(
            (numbers.setdefault(text, len(numbers)) for text in column.texts), np.int64, len(column.texts)
        )
        # The code of what is missing is the last index.
        return np.append(known, MISSING)[column.codes]

    def forget(self, kept: Ints) -> Ints:
        """Forget what is none of these numbers, if that is most of all; returns the numbers as they are from now on."""
        if len(self._numbers) <= self._many:
            return kept
        live = np.unique(kept[kept != MISSING])
        self._many = 2 * len(live) + _FEW
        if len(self._numbers) <= self._many:
            return kept
        texts = list(self._numbers)
        self._numbers = {texts[number]: position for position, number in enumerate(live.tolist())}
        renumbered = np.searchsorted(live, kept).astype(np.int64)
        renumbered[kept == MISSING] = MISSING
        return renumbered
