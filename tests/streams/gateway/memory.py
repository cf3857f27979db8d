"""The gateway's parts in memory: a backend over the whole line, a clientless ASGI call, what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
from starlette.types import ASGIApp, Message

from models.inquiry import Inquiry
from models.purchase import Purchase
from models.settlement import Settlement, SettlementResult, decode_settlement_result
from rules.language.compile import CompiledRuleset
from rules.reply import CONFLICTING, DECISION, REPLIES, SETTLED, Reply, read_reply, reply_to_header
from rules.router import INQUIRIES, PURCHASES, SETTLEMENTS
from streams.gateway.backend import Answer, Conflict, Deadline, GatewayStatus, Refusal
from streams.gateway.now import now_ms
from tests.memory import MemoryLine


class MemoryBackend:
    """Decides on the whole line in memory, at once. The broker's clock shows epoch milliseconds, by default now."""

    def __init__(
        self, ruleset: CompiledRuleset, partitions: int = 4, broker_clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self.line = MemoryLine(ruleset, partitions)
        self._broker_clock_ms = broker_clock_ms
        self._asked = 0

    async def decide(self, purchase: Purchase, deadline: Deadline) -> Answer | Conflict | Refusal:
        text = purchase.model_dump_json(exclude_none=True).encode()
        (reply,) = self._ask(PURCHASES, purchase.account_id.encode(), text)
        if reply.kind == DECISION:
            return Answer(reply.value, ())
        said = orjson.loads(reply.value)
        if reply.kind == CONFLICTING:
            return Conflict(tuple(said["fields"]), said["detail"])
        return Refusal(said["reason"], said["detail"])

    async def look_up(self, transaction_id: str, account_id: str | None, deadline: Deadline) -> bytes | None:
        wheres: list[dict[str, Any]] = [{"partition": number} for number in range(self.line.partitions)]
        if account_id is not None:
            wheres = [{"account_id": account_id}]
        for where in wheres:
            inquiry = Inquiry(transaction_id=transaction_id, **where)
            for reply in self._ask(INQUIRIES, None, inquiry.model_dump_json(exclude_none=True).encode()):
                if reply.kind == DECISION:
                    return reply.value
        return None

    async def settle(self, settlement: Settlement, deadline: Deadline) -> SettlementResult | Refusal | None:
        text = settlement.model_dump_json(exclude_none=True).encode()
        for reply in self._ask(SETTLEMENTS, settlement.account_id.encode(), text):
            if reply.kind == SETTLED:
                return decode_settlement_result(reply.value)
            said = orjson.loads(reply.value)
            return Refusal(said["reason"], said["detail"])
        return None

    def status(self) -> GatewayStatus:
        return GatewayStatus("closed", 0, 0, None, {})

    def _ask(self, topic: str, key: bytes | None, value: bytes) -> list[Reply]:
        """What is replied to one record."""
        self._asked += 1
        asked = f"r{self._asked}"
        self.line.send(topic, key, value, self._broker_clock_ms(), (reply_to_header(0, asked),))
        replies = [read_reply(record) for record in self.line.topics[REPLIES][0]]
        self.line.topics.pop(REPLIES, None)
        return [reply for reply in replies if reply is not None and reply.id == asked]


class Measured:
    """Metrics as a list."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.under_way = 0
        self.most_under_way = 0

    def observe(self, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.requests.append((route, status))

    def in_flight(self, requests: int) -> None:
        self.under_way = requests
        self.most_under_way = max(self.most_under_way, requests)


class Told(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    body: bytes | Sequence[bytes] = b"",
    headers: Sequence[tuple[str, str]] = (),
    query: bytes = b"",
) -> Told:
    """One request, as a server gives it to the application; a body of several parts arrives part by part."""
    parts = [body] if isinstance(body, bytes) else list(body)
    arriving: list[Message] = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return arriving.pop(0) if arriving else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }
    await app(scope, receive, send)
    assert sent, "no response"
    told = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Told(sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:]))
