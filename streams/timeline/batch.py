"""Decoded purchases as columns, with where each lay in the recording."""

# pyarrow is typed in part only.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from models.purchase import Purchase
from rules.columns.table import TEXT_FIELDS, Ints
from streams.timeline.hashing import Hashes, chained, hash_texts
from streams.timeline.texts import Rows, Texts

_NO_ATTRIBUTES: Final[Mapping[str, str | int | float | bool]] = {}
_OF_THE_BODY: Final = tuple(field for field in TEXT_FIELDS if field != "transaction_id")


@dataclass(frozen=True, slots=True)
class Batch:
    """n purchases. `nested` is a hash of location, instalments and attributes, 0 where there are none.

    `attributes` is None where no purchase has any, else an array of mappings. `values` is their JSON, an
    Arrow array of large binaries.
    """

    event_time_ms: Ints
    partition: Ints
    offset: Ints
    amount_minor: Ints
    texts: Mapping[str, Texts]
    instalments: Ints
    nested: Hashes
    attributes: NDArray[np.object_] | None
    values: Any

    def __len__(self) -> int:
        return len(self.event_time_ms)

    @classmethod
    def concat(cls, pieces: Sequence[Batch]) -> Batch:
        """One below the other; at least one."""
        if len(pieces) == 1:
            return pieces[0]
        has_attributes = any(piece.attributes is not None for piece in pieces)
        return cls(
            np.concatenate([piece.event_time_ms for piece in pieces]),
            np.concatenate([piece.partition for piece in pieces]),
            np.concatenate([piece.offset for piece in pieces]),
            np.concatenate([piece.amount_minor for piece in pieces]),
            {field: Texts.concat([piece.texts[field] for piece in pieces]) for field in TEXT_FIELDS},
            np.concatenate([piece.instalments for piece in pieces]),
            np.concatenate([piece.nested for piece in pieces]),
            np.concatenate([piece.all_attributes() for piece in pieces]) if has_attributes else None,
            pa.concat_arrays([piece.values for piece in pieces]),
        )

    def take(self, rows: Rows) -> Batch:
        """These rows, in this order."""
        return self._picked(rows, self.values.take(pa.array(rows)))

    def cut(self, begin: int, end: int) -> Batch:
        """The rows from `begin` on and before `end`."""
        return self._picked(slice(begin, end), self.values.slice(begin, end - begin))

    def all_attributes(self) -> NDArray[np.object_]:
        """A mapping for each purchase."""
        if self.attributes is not None:
            return self.attributes
        empty = np.empty(len(self), np.object_)
        empty[:] = [_NO_ATTRIBUTES] * len(self)
        return empty

    def body_hashes(self) -> Hashes:
        """Hashes that differ for another purchase under the same transaction_id, however its JSON was written."""
        hashes = chained(self.nested, self.event_time_ms)
        hashes = chained(hashes, self.amount_minor)
        for field in _OF_THE_BODY:
            column = self.texts[field]
            # One place more, for MISSING, which as an index is the last; a text's own hash is never asked to be 0.
            words = np.append(hash_texts(column.words), np.uint64(0))
            hashes = chained(hashes, words[column.codes])
        return hashes

    def _picked(self, rows: Rows | slice, values: Any) -> Batch:
        return Batch(
            self.event_time_ms[rows],
            self.partition[rows],
            self.offset[rows],
            self.amount_minor[rows],
            {field: column.take(rows) for field, column in self.texts.items()},
            self.instalments[rows],
            self.nested[rows],
            None if self.attributes is None else self.attributes[rows],
            values,
        )


def batch_of(purchases: Sequence[Purchase], partition: int, offsets: Ints, values: Any) -> Batch:
    """From purchases as the model has them."""
    attributes: NDArray[np.object_] | None = None
    if any(purchase.attributes for purchase in purchases):
        attributes = np.empty(len(purchases), np.object_)
        attributes[:] = [purchase.attributes for purchase in purchases]
    return Batch(
        np.array([purchase.event_time for purchase in purchases], np.int64),
        np.full(len(purchases), partition, np.int64),
        offsets,
        np.array([purchase.amount for purchase in purchases], np.int64),
        {
            field: Texts.encode(pa.array([getattr(purchase, field) for purchase in purchases], pa.string()))
            for field in TEXT_FIELDS
        },
        np.array([_instalments(purchase) for purchase in purchases], np.int64),
        np.array([_nested_hash(purchase) for purchase in purchases], np.uint64),
        attributes,
        values,
    )


def _instalments(purchase: Purchase) -> int:
    return 0 if purchase.instalments is None else purchase.instalments.count


def _nested_hash(purchase: Purchase) -> int:
    """8 bytes of what is not text or number of its own; BLAKE2b (RFC 7693)."""
    if purchase.location is None and purchase.instalments is None and not purchase.attributes:
        return 0
    parts = [
        vars(purchase.location) if purchase.location else None,
        vars(purchase.instalments) if purchase.instalments else None,
        sorted(purchase.attributes.items()),
    ]
    return int.from_bytes(blake2b(orjson.dumps(parts), digest_size=8).digest(), "little")
