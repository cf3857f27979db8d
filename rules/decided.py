"""First decisions, kept for a while: the same purchase sent again is answered with the same bytes."""

from __future__ import annotations

import struct
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from models.decision import Action
from rules.body import BODY_BYTES

# How long a first decision is kept, in event time; how many for one account, and how many for a partition.
KEEP_MS: Final = 86_400_000
KEEP_PER_ACCOUNT: Final = 64
KEEP_IN_ALL: Final = 250_000

_KEY: Final = b"D"
_SEQUENCE: Final = struct.Struct(">Q")
_HEAD: Final = struct.Struct(f"<q8s{BODY_BYTES}scHI")
_ACTIONS: Final = {Action.APPROVE: b"a", Action.FLAG: b"f", Action.BLOCK: b"b"}
_ACTION_OF: Final = {code: action for action, code in _ACTIONS.items()}


class FirstDecision(NamedTuple):
    """A decision as it was given, and what tells whether the same purchase is asked about again (rules/body.py)."""

    account_id: str
    transaction: bytes
    body: bytes
    event_time_ms: int
    action: Action
    text: bytes


class Decided:
    """First decisions of one fold, oldest out first.

    The state holds them in blocks, one for each run in which there were any, so that a run writes one record
    for all of them; it also tells the oldest sequence that was kept then. A block goes when the last of its
    decisions does.
    """

    def __init__(self) -> None:
        # By sequence, which counts all decisions ever kept.
        self._kept: OrderedDict[int, FirstDecision] = OrderedDict()
        self._by_account: defaultdict[str, deque[int]] = defaultdict(deque)
        # A transaction is one account's, but nothing keeps two accounts from sending the same id.
        self._by_transaction: dict[bytes, list[int]] = {}
        self._next = 0
        # First sequences of the blocks that are written, oldest first; a block is named by its first sequence.
        self._blocks: deque[int] = deque()
        self._unwritten: list[FirstDecision] = []

    def find(self, account_id: str, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of an account, if it is still kept."""
        for sequence in self._by_transaction.get(transaction, ()):
            if self._kept[sequence].account_id == account_id:
                return self._kept[sequence]
        return None

    def find_in_all(self, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of any account; the earliest, where there are several."""
        sequences = self._by_transaction.get(transaction)
        return self._kept[sequences[0]] if sequences else None

    def keep(self, decision: FirstDecision, now_ms: int) -> None:
        """Keep a decision, and let go of the oldest; `now_ms` is the latest event time seen."""
        self._add(self._next, decision)
        self._next += 1
        self._unwritten.append(decision)
        self._let_go(now_ms)

    def _add(self, sequence: int, decision: FirstDecision) -> None:
        account_id = decision.account_id
        self._kept[sequence] = decision
        of_account = self._by_account[account_id]
        of_account.append(sequence)
        self._by_transaction.setdefault(decision.transaction, []).append(sequence)
        if len(of_account) > KEEP_PER_ACCOUNT:
            self._forget(of_account[0])

    def _let_go(self, now_ms: int) -> None:
        """Forget what is too old or too much, but never the newest."""
        while len(self._kept) > 1:
            oldest = next(iter(self._kept))
            if len(self._kept) <= KEEP_IN_ALL and self._kept[oldest].event_time_ms >= now_ms - KEEP_MS:
                return
            self._forget(oldest)

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
        if not self._unwritten:
            return
        entries, self._unwritten = self._unwritten, []
        begin, oldest = self._next - len(entries), next(iter(self._kept))
        self._blocks.append(begin)
        yield _block_key(begin), b"".join((_SEQUENCE.pack(oldest), *map(_encode, entries)))
        while len(self._blocks) > 1 and self._blocks[1] <= oldest:
            yield _block_key(self._blocks.popleft()), None

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the decisions back from their state records."""
        blocks = {_SEQUENCE.unpack(key[1:])[0]: raw for key, raw in records.items() if key[:1] == _KEY}
        if not blocks:
            return
        (oldest,) = _SEQUENCE.unpack_from(blocks[max(blocks)])
        for begin in sorted(blocks):
            self._blocks.append(begin)
            self._next = begin
            for decision in _decode(blocks[begin]):
                if self._next >= oldest:
                    self._add(self._next, decision)
                self._next += 1


def _block_key(begin: int) -> bytes:
    return _KEY + _SEQUENCE.pack(begin)


def _encode(decision: FirstDecision) -> bytes:
    account = decision.account_id.encode()
    head = _HEAD.pack(
        decision.event_time_ms,
        decision.transaction,
        decision.body,
        _ACTIONS[decision.action],
        len(account),
        len(decision.text),
    )
    return b"".join((head, account, decision.text))


def _decode(raw: bytes) -> Iterator[FirstDecision]:
    position = _SEQUENCE.size
    while position < len(raw):
        event_time_ms, transaction, body, action, account_length, text_length = _HEAD.unpack_from(raw, position)
        begin = position + _HEAD.size
        middle = begin + account_length
        position = middle + text_length
        account_id = raw[begin:middle].decode()
        yield FirstDecision(account_id, transaction, body, event_time_ms, _ACTION_OF[action], raw[middle:position])
