"""Behind the HTTP edge: purchases to Kafka and their replies back, and an answer without them when time is up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NamedTuple

import orjson
import structlog

from models.decision import encode_decision
from models.inquiry import Inquiry
from models.purchase import Purchase
from models.settlement import Settlement, SettlementResult, decode_settlement_result
from rules.degraded import BREAKER_OPEN, DEADLINE, NO_BROKER, OVERLOADED, DegradedAnswers
from rules.fold import Headers, StateNotReadyError
from rules.reply import CONFLICTING, DECISION, SETTLED, Reply, reply_to_header
from rules.rulesets import Rulesets, reference_of
from streams.gateway.backend import Answer, Conflict, Deadline, GatewayStatus, Refusal, StreamAwayError
from streams.gateway.breaker import Breaker, BreakerState
from streams.gateway.connection import Connection
from streams.gateway.metrics import FULL, GatewayMetrics
from streams.gateway.outbox import Outbox
from streams.gateway.replies import Replies
from streams.gateway.search import Search
from streams.topics import ASSESSMENTS, DEGRADED, INQUIRIES, PURCHASES, SETTLEMENTS

log = structlog.get_logger(__name__)

_RETRY_AFTER_S: Final = 1


class _Wait(NamedTuple):
    """How long a request waits, by the loop's clock: from its beginning until its answer has to be begun."""

    now_s: float
    until_s: float
    allowed_s: float


class KafkaBackend:
    """Answers through Kafka; see `streams.gateway.backend.Backend`.

    `margin_s` is how long before its deadline an answer leaves without the full decision, at most half of what is
    left; `max_in_flight` how many purchases may wait for a reply at once, and how many settlements beside them;
    `max_look_ups` how many look-ups.
    """

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        replies: Replies,
        breaker: Breaker,
        degraded: DegradedAnswers,
        rulesets: Rulesets,
        metrics: GatewayMetrics,
        margin_s: float,
        max_in_flight: int,
        max_look_ups: int,
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self._replies = replies
        self._breaker = breaker
        self._degraded = degraded
        self._rulesets = rulesets
        self._metrics = metrics
        self._margin_s = margin_s
        # By the topic that they were written to: what waits of one kind takes no room from another.
        self._at_most = {PURCHASES: max_in_flight, SETTLEMENTS: max_in_flight, INQUIRIES: max_look_ups}
        self._waiting = Counter[str]()

    # -- purchases ----------------------------------------------------------------------------------

    async def decide(self, purchase: Purchase, deadline: Deadline) -> Answer | Conflict | Refusal:
        """Decide on a purchase, until its deadline. It is written to Kafka whatever it is answered."""
        wait = self._wait_until(deadline)
        key = purchase.account_id.encode()
        cause = self._cause_at_once(PURCHASES, key, wait)
        reply_id = self._replies.new_id(wait.now_s, wait.until_s)
        text = purchase.__pydantic_serializer__.to_json(purchase, exclude_none=True)
        if not self._outbox.put(PURCHASES, key, text, self._asking(reply_id)):
            return self._unrecorded(purchase)
        if cause is None:
            reply = await self._reply(PURCHASES, reply_id, wait)
            if reply is not None:
                return self._answer_of(reply)
            cause = DEADLINE
        return self._without_decision(purchase, key, cause)

    def _answer_of(self, reply: Reply) -> Answer | Conflict | Refusal:
        if reply.kind == DECISION:
            self._metrics.answered(FULL)
            return Answer(reply.value, ())
        told = orjson.loads(reply.value)
        if reply.kind == CONFLICTING:
            self._metrics.conflicts.inc()
            return Conflict(tuple(told["fields"]), told["detail"])
        self._metrics.refusals.inc()
        return Refusal(told["reason"], told["detail"])

    def _without_decision(self, purchase: Purchase, key: bytes, cause: str) -> Answer:
        """The answer in tiers, published beside its purchase."""
        answer = self._answer_without(purchase, cause)
        self._outbox.put(DEGRADED, key, answer.text, owed=True)
        return answer

    def _unrecorded(self, purchase: Purchase) -> Answer:
        """There is no room for the purchase, nor for what it is answered: nobody will hear of either."""
        self._metrics.unrecorded.inc()
        log.error("a purchase is not recorded: the outbox is full", queued=self._outbox.queued)
        return self._answer_without(purchase, OVERLOADED)

    def _answer_without(self, purchase: Purchase, cause: str) -> Answer:
        decision = self._degraded.answer(purchase, cause)
        tier, cause = decision.degraded
        self._metrics.answered(tier, cause)
        return Answer(encode_decision(decision), (tier, cause))

    # -- decisions that were given ------------------------------------------------------------------

    async def look_up(self, transaction_id: str, account_id: str | None, deadline: Deadline) -> bytes | None:
        """The decision on a transaction, asked of its account's desk or, without an account, of every desk."""
        wait = self._wait_until(deadline)
        if self._cause_at_once(INQUIRIES, account_id.encode() if account_id else None, wait) is not None:
            raise StreamAwayError(_RETRY_AFTER_S)
        search = Search(self._replies)
        for partition in [None] if account_id else range(self._connection.partitions[ASSESSMENTS]):
            inquiry = Inquiry(transaction_id=transaction_id, account_id=account_id or None, partition=partition)
            reply_id = self._replies.new_id(wait.now_s, wait.until_s)
            search.expect(reply_id)
            if not self._put_inquiry(inquiry, reply_id):
                search.end()
                raise StreamAwayError(_RETRY_AFTER_S)
        with self._counted(INQUIRIES):
            text, answered = await search.result(wait.until_s)
        if not answered:
            self._look_up_missed(wait)
            raise StreamAwayError(_RETRY_AFTER_S)
        return text

    def _put_inquiry(self, inquiry: Inquiry, reply_id: str) -> bool:
        key = inquiry.account_id.encode() if inquiry.account_id else None
        # Those without an account go round the partitions, whichever that is.
        where = None if key else (inquiry.partition or 0) % self._connection.partitions[INQUIRIES]
        text = inquiry.model_dump_json(exclude_none=True).encode()
        return self._outbox.put(INQUIRIES, key, text, self._asking(reply_id), partition=where)

    def _look_up_missed(self, wait: _Wait) -> None:
        # One desk's silence tells little of the others: it is only as a probe that a look-up counts.
        if self._breaker.state is not BreakerState.CLOSED:
            self._breaker.missed(asyncio.get_running_loop().time(), wait.allowed_s)

    # -- settlements --------------------------------------------------------------------------------

    async def settle(self, settlement: Settlement, deadline: Deadline) -> SettlementResult | Refusal | None:
        """Capture, void or refund; None while it is queued. Raises StreamAwayError where there is no room for it."""
        wait = self._wait_until(deadline)
        reply_id = self._replies.new_id(wait.now_s, wait.until_s)
        key = settlement.account_id.encode()
        text = settlement.model_dump_json(exclude_none=True).encode()
        cause = self._cause_at_once(SETTLEMENTS, key, wait)
        if not self._outbox.put(SETTLEMENTS, key, text, self._asking(reply_id)):
            raise StreamAwayError(_RETRY_AFTER_S)
        if cause is not None:
            return None
        reply = await self._reply(SETTLEMENTS, reply_id, wait)
        return _settled(reply) if reply is not None else None

    # -- all of them ---------------------------------------------------------------------------------------

    def status(self) -> GatewayStatus:
        """How the gateway is, now."""
        try:
            ruleset = reference_of(self._rulesets.in_force())
        except StateNotReadyError:
            ruleset = None
        more = {
            "connected": self._connection.problem is None,
            "problem": self._connection.problem,
            "reply_partition": self._connection.reply_partition,
            "queued_bytes": self._outbox.queued_bytes,
        }
        return GatewayStatus(self._breaker.state.value, self._waiting.total(), self._outbox.queued, ruleset, more)

    def _cause_at_once(self, topic: str, key: bytes | None, wait: _Wait) -> str | None:
        """Why nobody is to wait for the reply to what is written to a topic under this key, if nobody is."""
        if self._connection.problem is not None:
            return NO_BROKER
        if wait.allowed_s <= 0:
            return DEADLINE
        if self._waiting[topic] >= self._at_most[topic]:
            return OVERLOADED
        before_s = self._outbox.waiting_s(topic, key, wait.now_s) if key is not None else 0.0
        if not self._breaker.admits(wait.now_s, wait.allowed_s, before_s):
            return BREAKER_OPEN
        return None

    async def _reply(self, topic: str, reply_id: str, wait: _Wait) -> Reply | None:
        """The reply, None where it does not come in time; then the breaker hears of it."""
        with self._counted(topic):
            reply = await self._replies.ask(reply_id, wait.until_s)
        if reply is None:
            self._breaker.missed(asyncio.get_running_loop().time(), wait.allowed_s)
        return reply

    @contextmanager
    def _counted(self, topic: str) -> Generator[None]:
        self._waiting[topic] += 1
        try:
            yield
        finally:
            self._waiting[topic] -= 1

    def _wait_until(self, deadline: Deadline) -> _Wait:
        now_s = asyncio.get_running_loop().time()
        allowed_s = deadline.left_s(now_s)
        return _Wait(now_s, deadline.at_s - min(self._margin_s, max(0.0, allowed_s) / 2), allowed_s)

    def _asking(self, reply_id: str) -> Headers:
        # Before the first connection nobody knows which partitions there are, and nobody waits.
        if not self._connection.was_up:
            return ()
        return (reply_to_header(self._connection.reply_partition, reply_id),)


def _settled(reply: Reply) -> SettlementResult | Refusal:
    if reply.kind == SETTLED:
        return decode_settlement_result(reply.value)
    told = orjson.loads(reply.value)
    return Refusal(told["reason"], told["detail"])
