"""64 bits of many texts at once, for what is compared within one process and never stored."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_WORD_BYTES: Final = 8
_MASKS: Final = np.array([(1 << 8 * count) - 1 for count in range(_WORD_BYTES + 1)], np.uint64)


def mixed(numbers: Hashes) -> Hashes:
    """Each number's bits spread over all 64. SplitMix64's finalizer (Steele, Lea and Flood, 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def chained(hashes: Hashes, numbers: NDArray[np.int64] | Hashes) -> Hashes:
    """A hash of each row's hash and its number in one more column."""
    return mixed(hashes + _STEP ^ mixed(numbers.astype(np.uint64) + _STEP))


def hash_texts(texts: Any) -> Hashes:
    """The hash of each text of an Arrow array without nulls: eight bytes at a time, its length last."""
    _, offsets_buffer, data = texts.buffers()
    count = len(texts)
    if not count:
        return np.zeros(0, np.uint64)
    offsets = np.frombuffer(offsets_buffer, np.int32)[texts.offset : texts.offset + count + 1]
    begins, lengths = offsets[:-1].astype(np.int64), np.diff(offsets).astype(np.int64)
    # A copy with a word to spare, so that the last text's last word may be read whole.
    spared = np.zeros(int(offsets[-1]) + _WORD_BYTES, np.uint8)
    if data is not None:
        spared[: offsets[-1]] = np.frombuffer(data, np.uint8)[: offsets[-1]]
    hashes = np.zeros(count, np.uint64)
    rows = np.flatnonzero(lengths)
    at = 0
    while len(rows):
        left = lengths[rows] - at
        word = _words_at(spared, begins[rows] + at) & _MASKS[np.minimum(left, _WORD_BYTES)]
        hashes[rows] = mixed(hashes[rows] + _STEP ^ word)
        at += _WORD_BYTES
        rows = rows[left > _WORD_BYTES]
    return chained(hashes, lengths)


def _words_at(data: NDArray[np.uint8], places: NDArray[np.int64]) -> Hashes:
    """Eight bytes from each place on, the first the lowest."""
    starts = len(data) - _WORD_BYTES + 1
    everywhere = np.ndarray((starts,), np.dtype("<u8"), data, strides=(1,))
    return everywhere[places].astype(np.uint64, copy=False)
