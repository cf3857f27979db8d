"""First decisions, kept for a while: the same purchase sent again is answered with the same bytes."""

from __future__ import annotations

import struct
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from models.decision import Action

# How long a first decision is kept, in event time, and how many for one account.
KEEP_MS: Final = 86_400_000
KEEP_PER_ACCOUNT: Final = 64

_KEY: Final = b"D"
_SEQUENCE = struct.Struct(">Q")
_HEAD = struct.Struct("<q8s8scH")
_ACTIONS: Final = {Action.APPROVE: b"a", Action.FLAG: b"f", Action.BLOCK: b"b"}
_ACTION_OF: Final = {code: action for action, code in _ACTIONS.items()}


class FirstDecision(NamedTuple):
    """A decision as it was given, and what tells whether the same purchase is asked about again."""

    account_id: str
    transaction: bytes
    body: bytes
    event_time_ms: int
    action: Action
    text: bytes


class Decided:
    """First decisions of one fold, oldest out first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, FirstDecision] = OrderedDict()
        self._by_account: defaultdict[str, deque[int]] = defaultdict(deque)
        self._by_transaction: dict[tuple[str, bytes], int] = {}
        self._next = 0
        self._changed: dict[int, None] = {}

    def find(self, account_id: str, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of an account, if it is still kept."""
        sequence = self._by_transaction.get((account_id, transaction))
        return self._kept[sequence] if sequence is not None else None

    def keep(self, decision: FirstDecision, now_ms: int) -> None:
        """Keep a decision, and let go of the oldest; `now_ms` is the latest event time seen."""
        sequence = self._next
        self._next += 1
        self._add(sequence, decision)
        self._changed[sequence] = None
        of_account = self._by_account[decision.account_id]
        if len(of_account) > KEEP_PER_ACCOUNT:
            self._forget(of_account[0])
        while self._kept:
            oldest, first = next(iter(self._kept.items()))
            if first.event_time_ms >= now_ms - KEEP_MS or oldest == sequence:
                break
            self._forget(oldest)

    def _add(self, sequence: int, decision: FirstDecision) -> None:
        self._kept[sequence] = decision
        self._by_account[decision.account_id].append(sequence)
        self._by_transaction[decision.account_id, decision.transaction] = sequence

    def _forget(self, sequence: int) -> None:
        gone = self._kept.pop(sequence)
        of_account = self._by_account[gone.account_id]
        of_account.remove(sequence)
        if not of_account:
            del self._by_account[gone.account_id]
        if self._by_transaction.get((gone.account_id, gone.transaction)) == sequence:
            del self._by_transaction[gone.account_id, gone.transaction]
        self._changed[sequence] = None

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        changed, self._changed = self._changed, {}
        for sequence in changed:
            kept = self._kept.get(sequence)
            yield _KEY + _SEQUENCE.pack(sequence), _encode(kept) if kept is not None else None

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the decisions back from their state records."""
        found = {_SEQUENCE.unpack(key[1:])[0]: raw for key, raw in records.items() if key[:1] == _KEY}
        for sequence in sorted(found):
            self._add(sequence, _decode(found[sequence]))
        self._next = max(found, default=-1) + 1


def _encode(decision: FirstDecision) -> bytes:
    account = decision.account_id.encode()
    action = _ACTIONS[decision.action]
    head = _HEAD.pack(decision.event_time_ms, decision.transaction, decision.body, action, len(account))
    return b"".join((head, account, decision.text))


def _decode(raw: bytes) -> FirstDecision:
    event_time_ms, transaction, body, action, length = _HEAD.unpack_from(raw)
    end = _HEAD.size + length
    account_id = raw[_HEAD.size : end].decode()
    return FirstDecision(account_id, transaction, body, event_time_ms, _ACTION_OF[action], raw[end:])
