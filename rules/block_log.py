"""What a fold keeps of transactions for a while: oldest out first, its state in blocks."""

from __future__ import annotations

import struct
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Generic, Protocol, TypeVar

# How long an entry is kept, in event time, and how many for a partition.
KEEP_MS: Final = 86_400_000
KEEP_IN_ALL: Final = 250_000

_SEQUENCE: Final = struct.Struct(">Q")


class Entry(Protocol):
    """What is kept of a transaction, known by its hash."""

    @property
    def account_id(self) -> str: ...  # noqa: D102  # named by the class
    @property
    def transaction(self) -> bytes: ...  # noqa: D102
    @property
    def event_time_ms(self) -> int: ...  # noqa: D102


KeptEntry = TypeVar("KeptEntry", bound=Entry)


class BlockLog(Generic[KeptEntry]):
    """Entries of one fold, oldest out first.

    The state holds them in blocks, one for each run in which there were any, so that a run writes one record
    for all of them; it also tells the oldest sequence that was kept then. A block goes when the last of its
    entries does.
    """

    def __init__(
        self,
        key: bytes,
        keep_per_account: int,
        encode: Callable[[KeptEntry], bytes],
        decode: Callable[[bytes], Iterable[KeptEntry]],
    ) -> None:
        """`key` is the byte that the keys of the state records begin with.

        `encode` gives an entry's text, `decode` the entries whose texts lie one behind the other.
        """
        self._key = key
        self._keep_per_account = keep_per_account
        self._encode = encode
        self._decode = decode
        # By sequence, which counts all entries ever kept.
        self._kept: OrderedDict[int, KeptEntry] = OrderedDict()
        self._by_account: defaultdict[str, deque[int]] = defaultdict(deque)
        # A transaction is one account's, but nothing keeps two accounts from sending the same id.
        self._by_transaction: dict[bytes, list[int]] = {}
        self._next = 0
        # First sequences of the blocks that are written, oldest first; a block is named by its first sequence.
        self._blocks: deque[int] = deque()
        self._unwritten: list[KeptEntry] = []

    def of_transaction(self, transaction: bytes) -> Iterator[tuple[int, KeptEntry]]:
        """What is kept of a transaction, of any account, oldest first, each entry with its sequence."""
        for sequence in self._by_transaction.get(transaction, ()):
            yield sequence, self._kept[sequence]

    def keep(self, entry: KeptEntry, now_ms: int) -> int:
        """Keep an entry, let go of the oldest, and return its sequence; `now_ms` is the latest event time seen."""
        sequence = self._next
        self._add(sequence, entry)
        self._next += 1
        self._unwritten.append(entry)
        self.let_go(now_ms)
        return sequence

    def let_go(self, now_ms: int) -> None:
        """Forget what is too old or too much, but never the newest.

        How often this is called in between makes no difference to what is kept after it.
        """
        while len(self._kept) > 1:
            oldest = next(iter(self._kept))
            if len(self._kept) <= KEEP_IN_ALL and self._kept[oldest].event_time_ms >= now_ms - KEEP_MS:
                return
            self._forget(oldest)

    def _add(self, sequence: int, entry: KeptEntry) -> None:
        account_id = entry.account_id
        self._kept[sequence] = entry
        of_account = self._by_account[account_id]
        of_account.append(sequence)
        self._by_transaction.setdefault(entry.transaction, []).append(sequence)
        if len(of_account) > self._keep_per_account:
            self._forget(of_account[0])

    def _forget(self, sequence: int) -> None:
        gone = self._kept.pop(sequence)
        of_account = self._by_account[gone.account_id]
        of_account.remove(sequence)
        if not of_account:
            del self._by_account[gone.account_id]
        of_transaction = self._by_transaction[gone.transaction]
        of_transaction.remove(sequence)
        if not of_transaction:
            del self._by_transaction[gone.transaction]

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        if not self._kept:
            return
        oldest = next(iter(self._kept))
        if self._unwritten:
            entries, self._unwritten = self._unwritten, []
            begin = self._next - len(entries)
            self._blocks.append(begin)
            yield self._block_key(begin), b"".join((_SEQUENCE.pack(oldest), *map(self._encode, entries)))
        while len(self._blocks) > 1 and self._blocks[1] <= oldest:
            yield self._block_key(self._blocks.popleft()), None

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the entries back from their state records."""
        blocks = {_SEQUENCE.unpack(key[1:])[0]: raw for key, raw in records.items() if key[:1] == self._key}
        if not blocks:
            return
        (oldest,) = _SEQUENCE.unpack_from(blocks[max(blocks)])
        for begin in sorted(blocks):
            self._blocks.append(begin)
            self._next = begin
            for entry in self._decode(blocks[begin][_SEQUENCE.size :]):
                if self._next >= oldest:
                    self._add(self._next, entry)
                self._next += 1

    def _block_key(self, begin: int) -> bytes:
        return self._key + _SEQUENCE.pack(begin)
