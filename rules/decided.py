"""First decisions, kept for a while: the same purchase sent again is answered with the same bytes."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from models.decision import Action, Decision, encode_decision
from models.purchase_fields import PurchaseFields
from rules.account import Account
from rules.accounts import Accounts
from rules.block_log import BlockLog
from rules.body import OTHERS, Body, body_from, others_of
from rules.decision_shapes import SHAPE_BYTES, Shape, decision_from, decode_shape, digest_of, shape_of, values_of
from rules.entry_block import EntryBlock, pack_block
from rules.language.compile import CompiledRuleset

# For one account; for how long, and how many in all: see rules/block_log.py.
KEEP_PER_ACCOUNT: Final = 64

_KEY: Final = b"D"
_SHAPE: Final = b"E"
# Which of its block's shapes a decision has.
_SHAPE_NUMBER: Final = struct.Struct("<H")
_dumps = orjson.dumps


class FirstDecision(NamedTuple):
    """A decision as it was given, and what tells whether the same purchase is asked about again (rules/body.py)."""

    account_id: str
    transaction: bytes
    body: Body
    action: Action
    text: bytes


# A decision that is in no block yet: its account, the digest of its shape, its purchase, and what it says itself.
_Entry = tuple[str, bytes, PurchaseFields, Sequence[object]]


class Decided(BlockLog[_Entry]):
    """First decisions of one fold.

    Of each only what differs between two decisions of one shape is kept, and its text is made of it again when it is
    asked for. A shape has a state record of its own, which is there as long as a block whose decisions have it.
    """

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(_KEY, KEEP_PER_ACCOUNT)
        self._accounts = accounts
        # Shapes by digest, and how many blocks each of them is in.
        self._shapes: dict[bytes, Shape] = {}
        self._uses: Counter[bytes] = Counter()
        # Which of them are not in the state yet, and which may have become useless.
        self._new_shapes: dict[bytes, None] = {}
        self._left_shapes: dict[bytes, None] = {}
        self._digests: dict[Shape, bytes] = {}
        # The digests of plain approvals, by ruleset version: a version is a hash of what the ruleset says, which its id
        # and the names of its features are part of.
        self._plain: dict[str, bytes] = {}

    def keep_plain(
        self,
        account: Account,
        ruleset: CompiledRuleset,
        purchase: PurchaseFields,
        transaction: bytes,
        values: Sequence[int | None],
        now_ms: int,
    ) -> None:
        """Keep a plain approval and let go of the oldest: nothing matched and nothing was amiss.

        `values` are those of the ruleset's features, `now_ms` is the latest event time seen.
        """
        digest = self._plain.get(ruleset.version)
        if digest is None:
            digest = self._digest_of(Shape(ruleset.id, ruleset.version, tuple(ruleset.plan.feature_names)))
            self._plain[ruleset.version] = digest
        entry = (account.account_id, digest, purchase, values)
        account.decided = self.enter(account.decided, transaction, purchase.event_time, entry, now_ms)

    def keep(self, decision: Decision, purchase: PurchaseFields, transaction: bytes, now_ms: int) -> None:
        """Keep any decision and let go of the oldest; `now_ms` is the latest event time seen."""
        account = self._accounts.get(purchase.account_id)
        entry = (account.account_id, self._digest_of(shape_of(decision)), purchase, values_of(decision))
        account.decided = self.enter(account.decided, transaction, purchase.event_time, entry, now_ms)

    def find(self, account_id: str, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of an account, if it is still kept."""
        account = self._accounts.find(account_id)
        return self.find_of(account, transaction) if account is not None else None

    def find_of(self, account: Account, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of an account, if it is still kept."""
        # What nearly all purchases find is nothing.
        if account.decided.find(transaction) >= 0:
            for sequence in self.sequences(account.decided, transaction):
                return self._first(account.account_id, transaction, sequence)
        return None

    def knows(self, account_id: str, transaction: bytes) -> bool:
        """Whether the first decision on a transaction of an account is still kept."""
        account = self._accounts.find(account_id)
        return account is not None and bool(self.sequences(account.decided, transaction))

    def find_in_all(self, transaction: bytes) -> FirstDecision | None:
        """The first decision on a transaction of any account; the earliest, where there are several."""
        sequence = self.first_of_all(transaction)
        if sequence is None:
            return None
        block, number = self._entry_at(sequence)
        return self._first(block.account_ids()[number], transaction, sequence)

    def _first(self, account_id: str, transaction: bytes, sequence: int) -> FirstDecision:
        block, number = self._entry_at(sequence)
        (shape_number,) = _SHAPE_NUMBER.unpack_from(block.columns, number * _SHAPE_NUMBER.size)
        shape = self._shapes[_digests_in(block)[shape_number]]
        event_time_ms = self._time_at(sequence)
        transaction_id, amount, currency, *rest = orjson.loads(block.content(number))
        others, values = rest[:OTHERS], rest[OTHERS:]
        body = body_from(amount, currency, event_time_ms, others)
        decision = decision_from(shape, transaction_id, account_id, amount, currency, event_time_ms, values)
        return FirstDecision(account_id, transaction, body, Action(shape.action), encode_decision(decision))

    def _digest_of(self, shape: Shape) -> bytes:
        digest = self._digests.get(shape)
        if digest is None:
            digest = digest_of(shape)
            self._know(digest, shape)
            self._new_shapes[digest] = None
        return digest

    def _know(self, digest: bytes, shape: Shape) -> None:
        self._shapes[digest] = shape
        self._digests[shape] = digest

    # -- state --------------------------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        blocks = [*super().changes()]
        for digest in self._left_shapes:
            # A worker that had lost the partition may have written that a shape is gone, and not its blocks.
            if digest in self._shapes and not self._uses[digest]:
                yield from self._forget_shape(digest)
        self._left_shapes.clear()
        for digest in self._new_shapes:
            yield _SHAPE + digest, self._shapes[digest].encode()
        self._new_shapes.clear()
        yield from blocks

    def _forget_shape(self, digest: bytes) -> Iterator[tuple[bytes, None]]:
        shape = self._shapes.pop(digest)
        del self._digests[shape], self._uses[digest]
        if self._plain.get(shape.version) == digest:
            del self._plain[shape.version]
        if digest in self._new_shapes:
            del self._new_shapes[digest]
        else:
            yield _SHAPE + digest, None

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the decisions back from their state records."""
        for key, raw in records.items():
            if key[:1] == _SHAPE:
                self._know(key[1:], decode_shape(raw))
        super().restore(records)
        self._left_shapes = {digest: None for digest in self._shapes if not self._uses[digest]}

    def _pack(self, entries: Sequence[_Entry]) -> bytes:
        account_ids, digests, _, _ = zip(*entries, strict=True)
        numbers = {digest: number for number, digest in enumerate(dict.fromkeys(digests))}
        shapes = struct.pack(f"<{len(entries)}H", *map(numbers.__getitem__, digests))
        contents = [
            _dumps((purchase.transaction_id, purchase.amount, purchase.currency, *others_of(purchase), *values))
            for _, _, purchase, values in entries
        ]
        return pack_block(account_ids, shapes, contents, b"".join(numbers))

    def _give(self, account_id: str, latest: bytes) -> None:
        self._accounts.get(account_id).decided = latest

    def _taken(self, block: EntryBlock) -> None:
        for digest in _digests_in(block):
            self._uses[digest] += 1

    def _let_go_of(self, block: EntryBlock) -> None:
        for digest in _digests_in(block):
            self._uses[digest] -= 1
            if not self._uses[digest]:
                self._left_shapes[digest] = None


def _digests_in(block: EntryBlock) -> Sequence[bytes]:
    shared = block.shared
    return [shared[at : at + SHAPE_BYTES] for at in range(0, len(shared), SHAPE_BYTES)]
