"""Degraded answers, kept for a while: each is held against the full decision once that exists."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import orjson

from models.decision import Action, Decision, decode_decision
from models.reconciliation import Reconciliation
from rules.accounts import Accounts
from rules.block_log import GONE_MS, BlockLog
from rules.decided import FirstDecision
from rules.entity import transaction_hash
from rules.entry_block import pack_block
from rules.fold import Output

RECONCILIATIONS: Final = "reconciliations"
# For one account: in an outage all its purchases are answered so. For how long, and how many in all: see
# rules/block_log.py.
KEEP_PER_ACCOUNT: Final = 1_024

_KEY: Final = b"G"
_WAITING: Final = b"H"
_IS_WAITING: Final = b"1"
_SEQUENCE: Final = struct.Struct(">Q")
_DIGEST_BYTES: Final = 8
# An answer: its digest and the code of its action; its content is the tier, the cause and the version as JSON.
_HEAD: Final = struct.Struct(f"<{_DIGEST_BYTES}sc")
_ACTION_CODES: Final = {Action.APPROVE: b"a", Action.FLAG: b"f", Action.BLOCK: b"b"}
_ACTION_OF: Final = {code: action for action, code in _ACTION_CODES.items()}


class Answer(NamedTuple):
    """What the checkout was told; `digest` tells one answer to a transaction from another.

    `degraded` is its tier and its cause, `version` that of the ruleset it was given under.
    """

    account_id: str
    transaction: bytes
    digest: bytes
    event_time_ms: int
    action: Action
    degraded: tuple[str, ...]
    version: str


class Answers(BlockLog[Answer]):
    """The degraded answers of one fold, and which of them still wait for the full decision.

    Each distinct answer is reconciled once: at once where the decision is kept already, else right behind it. The
    same bytes again change nothing for as long as they are remembered. An answer belongs to a decision by account
    and transaction alone: where the body of its purchase turns out to conflict, it is held against the decision that
    the transaction was given. An answer whose purchase is never decided (it became a dead letter, or its
    decision is no longer kept) waits until it is forgotten.
    """

    def __init__(
        self,
        accounts: Accounts,
        now_ms: Callable[[], int],
        notice: Callable[[Reconciliation | None], None] | None = None,
    ) -> None:
        """`now_ms` tells the latest event time seen; `notice` hears of what is reconciled, and None for what is not.

        The latter when an answer is forgotten that still waits.
        """
        super().__init__(_KEY, KEEP_PER_ACCOUNT)
        self._accounts = accounts
        self._now_ms = now_ms
        self._notice = notice
        # By sequence. The state has a record for each.
        self._waiting: set[int] = set()
        self._begun: dict[int, None] = {}
        self._ended: dict[int, None] = {}

    def find(self, account_id: str, transaction: bytes) -> Action | None:
        """What the checkout was told of a transaction, whether reconciled or not; None where nothing is kept.

        Where gateways told it different things, to go ahead: it may have done so, whichever came first.
        """
        self.let_go(self._now_ms())
        actions = [answer.action for _, answer in self._of(account_id, transaction)]
        return next((action for action in actions if action is not Action.BLOCK), actions[0] if actions else None)

    def take(self, decision: Decision, raw: bytes, first: FirstDecision | None) -> Sequence[Output]:
        """Keep a degraded answer, `raw` as it came in, and reconcile it with the first decision if there is one."""
        self.let_go(self._now_ms())
        answer = _answer_of(decision, raw)
        for _, earlier in self._of(answer.account_id, answer.transaction):
            if earlier.digest == answer.digest:
                return ()
        account, sequence = self._accounts.get(answer.account_id), self._next
        account.answered = self.enter(
            account.answered, answer.transaction, answer.event_time_ms, answer, self._now_ms()
        )
        if first is not None:
            return [self._reconciled(answer, first.text)]
        self._waiting.add(sequence)
        self._begun[sequence] = None
        return ()

    def decided(self, account_id: str, transaction: bytes, text: bytes) -> Sequence[Output]:
        """A transaction has its full decision, of this text: reconcile the answers that wait for it."""
        if not self._waiting:
            return ()
        waiting = [each for each in self._of(account_id, transaction) if each[0] in self._waiting]
        for sequence, _ in waiting:
            self._end(sequence)
        outputs = [self._reconciled(answer, text) for _, answer in waiting]
        self.let_go(self._now_ms())
        return outputs

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """State records that changed since the last call."""
        self.let_go(self._now_ms())
        yield from super().changes()
        for sequence in self._begun:
            yield _WAITING + _SEQUENCE.pack(sequence), _IS_WAITING
        for sequence in self._ended:
            yield _WAITING + _SEQUENCE.pack(sequence), None
        self._begun.clear()
        self._ended.clear()

    def restore(self, records: Mapping[bytes, bytes]) -> None:
        """Take the answers back from their state records."""
        super().restore(records)
        self._waiting = {_SEQUENCE.unpack(key[1:])[0] for key in records if key[:1] == _WAITING}

    def _pack(self, entries: Sequence[Answer]) -> bytes:
        account_ids = [answer.account_id for answer in entries]
        heads = [_HEAD.pack(answer.digest, _ACTION_CODES[answer.action]) for answer in entries]
        contents = [orjson.dumps((answer.degraded, answer.version)) for answer in entries]
        return pack_block(account_ids, b"".join(heads), contents)

    def _give(self, account_id: str, latest: bytes) -> None:
        self._accounts.get(account_id).answered = latest

    def _of(self, account_id: str, transaction: bytes) -> list[tuple[int, Answer]]:
        account = self._accounts.find(account_id)
        if account is None:
            return []
        return [
            (sequence, self._answer(account_id, transaction, sequence))
            for sequence in self.sequences(account.answered, transaction)
        ]

    def _answer(self, account_id: str, transaction: bytes, sequence: int) -> Answer:
        block, number = self._entry_at(sequence)
        digest, action = _HEAD.unpack_from(block.columns, number * _HEAD.size)
        degraded, version = orjson.loads(block.content(number))
        event_time_ms = self._time_at(sequence)
        return Answer(account_id, transaction, digest, event_time_ms, _ACTION_OF[action], tuple(degraded), version)

    def _end(self, sequence: int) -> None:
        """An answer waits no longer; the state never hears of one that did not wait to the end of its run."""
        self._waiting.remove(sequence)
        if sequence in self._begun:
            del self._begun[sequence]
        else:
            self._ended[sequence] = None

    def _forgotten(self, sequence: int) -> None:
        if sequence in self._waiting:
            self._end(sequence)
            if self._notice is not None:
                self._notice(None)

    def _reconciled(self, answer: Answer, text: bytes) -> Output:
        reconciliation = _reconciliation_of(answer, decode_decision(text))
        if self._notice is not None:
            self._notice(reconciliation)
        return Output(RECONCILIATIONS, answer.account_id.encode(), reconciliation.model_dump_json().encode())


def _answer_of(decision: Decision, raw: bytes) -> Answer:
    return Answer(
        decision.account_id,
        transaction_hash(decision.transaction_id),
        blake2b(raw, digest_size=_DIGEST_BYTES).digest(),
        max(decision.event_time, GONE_MS + 1),
        Action(decision.action),
        tuple(decision.degraded),
        decision.ruleset_version,
    )


def _reconciliation_of(answer: Answer, decided: Decision) -> Reconciliation:
    return Reconciliation(
        transaction_id=decided.transaction_id,
        account_id=decided.account_id,
        answered=answer.action.value,
        decided=decided.action,
        differs=answer.action != decided.action,
        degraded=list(answer.degraded),
        ruleset=decided.ruleset,
        answered_version=answer.version,
        decided_version=decided.ruleset_version,
        amount=decided.amount,
        currency=decided.currency,
        event_time=decided.event_time,
    )
