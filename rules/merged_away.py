"""Transactions whose rows in a window log were merged with others: remembered, so that repeats are known."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

_KEY: Final = b"M"
_ID: Final = struct.Struct(">I")
# In a block: how many transactions, then they, then the name.
_COUNT: Final = struct.Struct("<H")
# How many merges are remembered by a fold, oldest out first.
_BLOCKS: Final = 384
_HASH_BYTES: Final = 8


class MergedAway:
    """Transactions by the name of the log that they were in; one block for each merge."""

    def __init__(self) -> None:
        # By a block's number its log's name and its transactions.
        self._blocks: OrderedDict[int, tuple[str, Sequence[bytes]]] = OrderedDict()
        # By name the transactions that are remembered, each with the block that it was in last.
        self.names: dict[str, dict[bytes, int]] = {}
        self._next = 0
        # Blocks that are not written yet, or are gone.
        self._changed: list[int] = []

    def has(self, name: str, transaction: bytes) -> bool:
        """Whether a transaction's row in this log was merged away, as far as that is remembered."""
        return name in self.names and transaction in self.names[name]

    def remember(self, name: str, transactions: Sequence[bytes]) -> None:
        """Remember what was merged away at once."""
        block = self._next
        self._changed.append(block)
        self._add(block, name, transactions)
        if len(self._blocks) > _BLOCKS:
            oldest, (name, transactions) = self._blocks.popitem(last=False)
            self._changed.append(oldest)
            known = self.names[name]
            for transaction in transactions:
                if known.get(transaction) == oldest:
                    del known[transaction]
            if not known:
                del self.names[name]

    def _add(self, block: int, name: str, transactions: Sequence[bytes]) -> None:
        self._next = block + 1
        self._blocks[block] = name, transactions
        self.names.setdefault(name, {}).update(dict.fromkeys(transactions, block))

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        changed, self._changed = self._changed, []
        return [(_KEY + _ID.pack(block), self._encoded(block)) for block in changed]

    def _encoded(self, block: int) -> bytes | None:
        if block not in self._blocks:
            return None
        name, transactions = self._blocks[block]
        return b"".join((_COUNT.pack(len(transactions)), *transactions, name.encode()))

    def settle(self) -> None:
        """Take the changes as written: for those who keep no state."""
        self._changed.clear()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the state back from its records."""
        found = sorted([(_ID.unpack(key[1:])[0], raw) for key, raw in records.items() if key[:1] == _KEY])
        for block, raw in found:
            end = _COUNT.size + _HASH_BYTES * _COUNT.unpack_from(raw)[0]
            transactions = [raw[at : at + _HASH_BYTES] for at in range(_COUNT.size, end, _HASH_BYTES)]
            self._add(block, raw[end:].decode(), transactions)
