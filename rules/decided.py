"""First decisions, kept for a while: the same purchase sent again is answered with the same bytes."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

import orjson

from models.decision import Action, Decision, encode_decision
from rules.accounts import Accounts
from rules.block_log import BlockLog, account_of, content_at, time_of
from rules.body import BODY_BYTES

# For one account; for how long, and how many in all: see rules/block_log.py.
KEEP_PER_ACCOUNT: Final = 64

_KEY: Final = b"D"
_APPROVE: Final = Action.APPROVE
ACTION_CODES: Final = {Action.APPROVE: b"a", Action.FLAG: b"f", Action.BLOCK: b"b"}
ACTION_OF: Final = {code: action for action, code in ACTION_CODES.items()}
# In the place of an action's code: a plain approval, whose text is not kept.
_PLAIN: Final = b"p"
_SHAPE_BYTES: Final = 8
_dumps = orjson.dumps

# What plain approvals by one ruleset have in common: its id, its version, and the names of its features.
_Shape = tuple[str, ...]


class FirstDecision(NamedTuple):
    """A decision as it was given, and what tells whether the same purchase is asked about again (rules/body.py)."""

    account_id: str
    transaction: bytes
    body: bytes
    event_time_ms: int
    action: Action
    text: bytes


class Decided(BlockLog):
    """First decisions of one fold.

    Most are plain approvals: nothing matched and nothing was amiss. Of these only what differs between two such
    decisions by one ruleset is kept, and their text is made of it again when it is asked for.
    """

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(_KEY, KEEP_PER_ACCOUNT)
        self._accounts = accounts
        # By the digest that entries have of them. They are as few as the rulesets that were ever in force here.
        self._shapes: dict[bytes, _Shape] = {}
        # The shapes of what is not written yet, and what such an entry has before its values, by ruleset version: a
        # version is a hash of what the ruleset says, which the names of its features are part of.
        self._unwritten_shapes: list[_Shape] = []
        self._heads: dict[str, bytes] = {}

    def keep(self, decision: Decision, transaction: bytes, body: bytes, text: bytes, now_ms: int) -> None:
        """Keep a decision and let go of the oldest; `text` is as `encode_decision` gives it.

        `now_ms` is the latest event time seen.
        """
        (
            transaction_id, account_id, action, reasons, shadow, anomaly, causes, features,
            ruleset, version, amount, currency, event_time_ms, late, degraded,
        ) = decision  # fmt: skip
        if action != _APPROVE or reasons or shadow or anomaly is not None or causes or late or degraded:
            content = ACTION_CODES[Action(action)] + text
        else:
            head = self._heads.get(version) or self._begin_shape((ruleset, version, *features))
            content = head + _dumps((transaction_id, amount, currency, *features.values()))
        account = self._accounts.get(account_id)
        account.decided = self.enter(account.decided, account_id, transaction, event_time_ms, body + content, now_ms)

    def find(self, account_id: str, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of an account, if it is still kept."""
        for _, entry in self.of_transaction(transaction):
            if account_of(entry) == account_id:
                return self._first(transaction, entry)
        return None

    def knows(self, account_id: str, transaction: bytes) -> bool:
        """Whether the first decision on a transaction of an account is still kept."""
        return any(account_of(entry) == account_id for _, entry in self.of_transaction(transaction))

    def find_in_all(self, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of any account; the earliest, where there are several."""
        for _, entry in self.of_transaction(transaction):
            return self._first(transaction, entry)
        return None

    def _first(self, transaction: bytes, entry: bytes) -> FirstDecision:
        account_id, event_time_ms, body_at = account_of(entry), time_of(entry), content_at(entry)
        code_at = body_at + BODY_BYTES
        body, code, rest = entry[body_at:code_at], entry[code_at : code_at + 1], entry[code_at + 1 :]
        if code != _PLAIN:
            return FirstDecision(account_id, transaction, body, event_time_ms, ACTION_OF[code], rest)
        ruleset, version, *names = self._shapes[rest[:_SHAPE_BYTES]]
        transaction_id, amount, currency, *values = orjson.loads(rest[_SHAPE_BYTES:])
        features = dict(zip(names, values, strict=True))
        decision = Decision(
            transaction_id, account_id, _APPROVE, [], [], None, [], features,
            ruleset, version, amount, currency, event_time_ms, late=False, degraded=[],
        )  # fmt: skip
        return FirstDecision(account_id, transaction, body, event_time_ms, _APPROVE, encode_decision(decision))

    def _begin_shape(self, shape: _Shape) -> bytes:
        self._unwritten_shapes.append(shape)
        _, version, *_ = shape
        head = self._heads[version] = _PLAIN + self._know(shape)
        return head

    def _know(self, shape: _Shape) -> bytes:
        digest = blake2b(orjson.dumps(shape), digest_size=_SHAPE_BYTES).digest()
        self._shapes[digest] = shape
        return digest

    def _in_common(self) -> bytes:
        shapes, self._unwritten_shapes = self._unwritten_shapes, []
        self._heads.clear()
        return orjson.dumps(shapes) if shapes else b""

    def _take_in_common(self, raw: bytes) -> None:
        for shape in orjson.loads(raw) if raw else ():
            self._know(tuple(shape))

    def _restore_entry(self, account_id: str, transaction: bytes, entry: bytes) -> None:
        account = self._accounts.get(account_id)
        account.decided = self._add(account.decided, transaction, entry)
