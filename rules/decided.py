"""First decisions, kept for a while: the same purchase sent again is answered with the same bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from models.decision import Action
from rules.block_log import BlockLog
from rules.body import BODY_BYTES

# For one account; for how long, and how many in all: see rules/block_log.py.
KEEP_PER_ACCOUNT: Final = 64

_KEY: Final = b"D"
_HEAD: Final = struct.Struct(f"<q8s{BODY_BYTES}scHI")
ACTION_CODES: Final = {Action.APPROVE: b"a", Action.FLAG: b"f", Action.BLOCK: b"b"}
ACTION_OF: Final = {code: action for action, code in ACTION_CODES.items()}


class FirstDecision(NamedTuple):
    """A decision as it was given, and what tells whether the same purchase is asked about again (rules/body.py)."""

    account_id: str
    transaction: bytes
    body: bytes
    event_time_ms: int
    action: Action
    text: bytes


class Decided(BlockLog[FirstDecision]):
    """First decisions of one fold."""

    def __init__(self) -> None:
        super().__init__(_KEY, KEEP_PER_ACCOUNT, _encode, _decode)

    def find(self, account_id: str, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of an account, if it is still kept."""
        for _, decision in self.of_transaction(transaction):
            if decision.account_id == account_id:
                return decision
        return None

    def find_in_all(self, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of any account; the earliest, where there are several."""
        for _, decision in self.of_transaction(transaction):
            return decision
        return None


def _encode(decision: FirstDecision) -> bytes:
    account = decision.account_id.encode()
    head = _HEAD.pack(
        decision.event_time_ms,
        decision.transaction,
        decision.body,
        ACTION_CODES[decision.action],
        len(account),
        len(decision.text),
    )
    return b"".join((head, account, decision.text))


def _decode(raw: bytes) -> Iterator[FirstDecision]:
    position = 0
    while position < len(raw):
        event_time_ms, transaction, body, action, account_length, text_length = _HEAD.unpack_from(raw, position)
        begin = position + _HEAD.size
        middle = begin + account_length
        position = middle + text_length
        account_id = raw[begin:middle].decode()
        yield FirstDecision(account_id, transaction, body, event_time_ms, ACTION_OF[action], raw[middle:position])
