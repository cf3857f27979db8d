"""What the gateway answers, and what it tells those whose request is not one."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest

from models.decision import decode_decision
from models.settlement import SettlementResult
from streams.gateway.backend import Answer, Conflict, Deadline, GatewayStatus, Refusal, StreamAwayError
from streams.gateway.config import EdgeConfig
from streams.gateway.now import now_ms
from tests.streams.gateway.conftest import Gateway, purchase
from tests.streams.gateway.memory import MemoryBackend, Told

VISA = "4111111111111111"
BODY = orjson.dumps(purchase())


def assert_problem(told: Told, status: int, name: str, *parts: str) -> Any:
    """A problem as RFC 9457 wants it, whose detail holds these parts."""
    assert (told.status, told.headers["content-type"]) == (status, "application/problem+json")
    problem = told.json
    assert problem["type"] == f"urn:stopbank:problem:{name}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["instance"] == f"urn:stopbank:request:{told.headers['stopbank-request-id']}"
    for part in parts:
        assert part in problem["detail"]
    return problem


# -- what is answered --------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "action"), [(1_000, "approve"), (60_000, "flag")])
async def test_a_purchase_gets_its_decision(gateway: Gateway, amount: int, action: str) -> None:
    told = await gateway.decide(amount=amount)
    assert (told.status, told.headers["content-type"]) == (200, "application/json")
    assert "stopbank-degraded" not in told.headers
    decision = decode_decision(told.body)
    assert (decision.action, decision.transaction_id, decision.amount) == (action, "t-1", amount)


async def test_a_blocked_purchase_is_answered_as_any_other(gateway: Gateway) -> None:
    told = [await gateway.decide(transaction_id=f"t-{number}") for number in range(4)]
    assert [each.status for each in told] == [200] * 4
    assert decode_decision(told[-1].body).action == "block"


async def test_a_purchase_sent_again_gets_the_same_bytes(gateway: Gateway) -> None:
    sent = purchase()
    first = await gateway.ask("POST", "/v1/decisions", sent)
    again = await gateway.ask("POST", "/v1/decisions", dict(reversed(sent.items())))
    assert first.body == again.body


async def test_another_body_under_the_same_id_is_told_by_its_fields(gateway: Gateway) -> None:
    sent = purchase()
    await gateway.ask("POST", "/v1/decisions", sent)
    told = await gateway.ask("POST", "/v1/decisions", {**sent, "amount": 2_000, "mcc": "5812"})
    problem = assert_problem(told, 409, "conflict")
    assert sorted(problem["fields"]) == ["amount", "mcc"]
    assert sorted(error["field"] for error in problem["errors"]) == ["amount", "mcc"]


async def test_a_decision_is_given_again(gateway: Gateway) -> None:
    first = await gateway.decide(transaction_id="a/b ü%2F")
    assert first.status == 422  # a blank
    first = await gateway.decide(transaction_id="a/b-ü%2F")
    path = "/v1/decisions/a/b-ü%2F"
    for query in (b"", b"account_id=a-1"):
        assert (await gateway.ask("GET", path, query=query)).body == first.body
    assert_problem(await gateway.ask("GET", path, query=b"account_id=a-2"), 404, "unknown-transaction")


async def test_a_head_request_is_answered_as_its_get(gateway: Gateway) -> None:
    await gateway.decide()
    assert (await gateway.ask("HEAD", "/v1/decisions/t-1")).status == 200
    assert (await gateway.ask("HEAD", "/v1/decisions/t-2")).status == 404


async def test_the_status_is_told(gateway: Gateway) -> None:
    told = await gateway.ask("GET", "/v1/status")
    assert told.json == {"breaker": "closed", "in_flight": 0, "queued_records": 0, "ruleset": None, "more": {}}


async def test_the_document_needs_no_key(gateway: Gateway) -> None:
    told = await gateway.ask("GET", "/openapi.json", authorization=None)
    assert told.status == 200
    assert set(told.json["paths"]) == {
        "/v1/decisions",
        "/v1/decisions/{transaction_id}",
        "/v1/purchases/{transaction_id}/capture",
        "/v1/purchases/{transaction_id}/void",
        "/v1/purchases/{transaction_id}/refund",
        "/v1/status",
    }


@pytest.mark.parametrize(
    ("path", "allowed"), [("/v1/decisions", "OPTIONS, POST"), ("/v1/status", "GET, HEAD, OPTIONS")]
)
async def test_options_tell_the_methods(gateway: Gateway, path: str, allowed: str) -> None:
    told = await gateway.ask("OPTIONS", path, authorization=None)
    assert (told.status, told.headers["allow"], told.body) == (204, allowed, b"")


# -- what is refused ---------------------------------------------------------------------------------

AHEAD = now_ms() + 3_600_000
REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"body": b"{"}, 400, "malformed-json", "line 1 column 2"),
    ({"body": b""}, 400, "malformed-json", "not valid JSON"),
    ({"body": b'{"transaction_id": "\xff"}'}, 400, "malformed-json", "UTF-8"),
    ({"body": '{"transaction_id": "ü"}'.encode("latin-1")}, 400, "malformed-json", "UTF-8"),
    ({"body": b'{"a": NaN}'}, 400, "malformed-json", "not valid JSON"),
    ({"body": b"[" * 5_000}, 400, "malformed-json", "not valid JSON"),
    ({"body": b"[]"}, 422, "invalid", "send the fields in braces"),
    ({"body": b"null"}, 422, "invalid", "null is not a JSON object"),
    ({"body": purchase(amount="1")}, 422, "invalid", "amount: '1' is not a whole number"),
    ({"body": purchase(amont=1)}, 422, "invalid", "amont: is not a field of this record"),
    ({"body": {"transaction_id": "t"}}, 422, "invalid", "account_id: is required but missing: add it (and 5 more)"),
    ({"body": purchase(currency="JPY")}, 422, "no-rate", "JPY"),
    ({"body": purchase(event_time=AHEAD)}, 422, "future", "after the gateway's clock, at most 300000 are allowed"),
    ({"query": b"dry_run=1"}, 422, "invalid", "those known are none"),
    ({"stopbank_deadline_ms": "soon"}, 422, "invalid", "Stopbank-Deadline-Ms: is not a whole number"),
    ({"stopbank_deadline_ms": "0"}, 422, "invalid", "from 1 to 60000"),
    ({"stopbank_deadline_ms": "60001"}, 422, "invalid", "from 1 to 60000"),
    ({"stopbank_deadline_ms": "-5"}, 422, "invalid", "from 1 to 60000"),
    ({"stopbank_deadline_ms": "1.5"}, 422, "invalid", "from 1 to 60000"),
    ({"content_type": None}, 415, "unsupported-media-type", "Content-Type: send the body as application/json"),
    ({"content_type": "text/plain"}, 415, "unsupported-media-type", "application/json"),
    ({"content_type": "application/json; charset=latin-1"}, 415, "unsupported-media-type", "UTF-8"),
    ({"content_encoding": "gzip"}, 415, "unsupported-media-type", "compressed bodies are not read"),
    ({"body": b" " * 65_537}, 413, "body-too-large", "more than 65536 bytes"),
    ({"body": [b" " * 65_000, b" " * 600]}, 413, "body-too-large", "more than 65536 bytes"),
    ({"content_length": "65537"}, 413, "body-too-large", "more than 65536 bytes"),
    ({"authorization": None}, 401, "unauthorized", "Authorization: Bearer sb_<id>_<secret>"),
    ({"authorization": "Basic YTpi"}, 401, "unauthorized", "Authorization: Bearer"),
    ({"authorization": "Bearer abc"}, 401, "unauthorized", "is no API key"),
    ({"authorization": "Bearer sb_abcdef_ghi"}, 401, "unauthorized", "no such API key"),
    ({"authorization": "Bearer ü"}, 401, "unauthorized", "is no API key"),
]


@pytest.mark.parametrize(("asked", "status", "name", "part"), REFUSED)
async def test_what_can_not_be_answered_is_told(
    gateway: Gateway, asked: dict[str, Any], status: int, name: str, part: str
) -> None:
    request: dict[str, Any] = {"body": BODY, **asked}
    told = await gateway.ask("POST", "/v1/decisions", **request)
    assert_problem(told, status, name, part)
    assert isinstance(gateway.backend, MemoryBackend)
    assert not gateway.backend.line.written["decisions"]


async def test_every_wrong_field_is_named(gateway: Gateway) -> None:
    told = await gateway.decide(amount=0, mcc="x", location={"lat": 91, "lon": 0}, attributes={"a": []})
    assert [error["field"] for error in assert_problem(told, 422, "invalid")["errors"]] == [
        "amount",
        "mcc",
        "location.lat",
        "attributes.a",
    ]


@pytest.mark.parametrize("path", ["/", "/v1/decision", "/v2/decisions", "/docs", "/v1/purchases/t-1/expire"])
async def test_a_path_that_is_none_is_told(gateway: Gateway, path: str) -> None:
    assert_problem(await gateway.ask("GET", path), 404, "not-found", "/openapi.json")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/decisions", "OPTIONS, POST"),
        ("DELETE", "/v1/decisions/t-1", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/purchases/t-1/void", "OPTIONS, POST"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_a_path_has_not_is_told(gateway: Gateway, method: str, path: str, allowed: str) -> None:
    told = await gateway.ask(method, path)
    assert_problem(told, 405, "method-not-allowed", allowed)
    assert told.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("path", "query", "part"),
    [
        ("/v1/decisions/", b"", "transaction_id: '' is not text of 1 to 128"),
        ("/v1/decisions/a b", b"", "transaction_id: 'a b' is not text"),
        ("/v1/decisions/" + "x" * 129, b"", "transaction_id"),
        ("/v1/decisions/t-1", b"account=a-1", "those known are account_id"),
        ("/v1/decisions/t-1", b"account_id=", "account_id: '' is not text"),
        ("/v1/decisions/t-1", b"account_id=a&account_id=b", "account_id: is there more than once"),
        ("/v1/decisions/t-1", b"account_id=%ff", "not text in UTF-8"),
        ("/v1/decisions/t-1", b"account_id=\xff", "not text in UTF-8"),
    ],
)
async def test_a_look_up_that_is_none_is_told(gateway: Gateway, path: str, query: bytes, part: str) -> None:
    assert_problem(await gateway.ask("GET", path, query=query), 422, "invalid", part)


# -- what a settlement says --------------------------------------------------------------------------

MALFORMED_SETTLEMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("capture", {}, "account_id: is required"),
    ("capture", {"account_id": "a", "amount": 1}, "amount and currency go together"),
    ("capture", {"account_id": "a", "amount": None, "currency": None}, "amount: null is not"),
    ("capture", {"account_id": "a", "refund_id": "r"}, "refund_id: is not a field"),
    ("capture", {"account_id": "a", "transaction_id": "t-2"}, "transaction_id: is not a field"),
    ("void", {"account_id": "a", "amount": 1, "currency": "CNY"}, "amount: is not a field"),
    ("refund", {"account_id": "a"}, "refund_id: is required"),
]


@pytest.mark.parametrize(("kind", "body", "part"), MALFORMED_SETTLEMENTS)
async def test_a_settlement_that_is_none_is_told(gateway: Gateway, kind: str, body: dict[str, Any], part: str) -> None:
    assert_problem(await gateway.ask("POST", f"/v1/purchases/t-1/{kind}", body), 422, "invalid", part)


async def test_a_settlement_in_the_future_is_told(gateway: Gateway) -> None:
    body = {"account_id": "a-1", "event_time": AHEAD}
    assert_problem(await gateway.ask("POST", "/v1/purchases/t-1/void", body), 422, "future", "event_time")


# -- what stands behind ------------------------------------------------------------------------------


class Scripted:
    """A backend that says what it is told to."""

    def __init__(self, said: Any) -> None:
        self.said = said
        self.deadlines: list[Deadline] = []

    async def decide(self, purchase: Any, deadline: Deadline) -> Answer | Conflict | Refusal:
        self.deadlines.append(deadline)
        return self._say()

    async def look_up(self, transaction_id: str, account_id: str | None, deadline: Deadline) -> bytes | None:
        return self._say()

    async def settle(self, settlement: Any, deadline: Deadline) -> Any:
        return self._say()

    def status(self) -> GatewayStatus:
        return self._say()

    def _say(self) -> Any:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


async def test_a_degraded_answer_says_so_in_a_header() -> None:
    told = await Gateway(Scripted(Answer(b'{"action":"flag"}', ("stateless-rules", "deadline")))).decide()
    assert (told.status, told.body) == (200, b'{"action":"flag"}')
    assert told.headers["stopbank-degraded"] == "stateless-rules; cause=deadline"


async def test_a_stream_that_is_away_is_told_with_when_to_try_again() -> None:
    gateway = Gateway(Scripted(StreamAwayError(3)))
    body = {"account_id": "a-1"}
    for told in (await gateway.ask("GET", "/v1/decisions/t"), await gateway.ask("POST", "/v1/purchases/t/void", body)):
        assert_problem(told, 503, "stream-away", "try again in 3 s")
        assert told.headers["retry-after"] == "3"


async def test_a_settlement_without_an_answer_is_accepted() -> None:
    told = await Gateway(Scripted(None)).ask("POST", "/v1/purchases/t-9/void", {"account_id": "a-1"})
    assert told.status == 202
    result = told.json
    assert (result["transaction_id"], result["kind"], result["status"]) == ("t-9", "void", "waiting")
    assert abs(result["event_time"] - now_ms()) < 60_000


def settled(**fields: Any) -> SettlementResult:
    said = {"transaction_id": "t", "account_id": "a-1", "kind": "void", "event_time": now_ms(), **fields}
    return SettlementResult.model_validate(said)


async def void(said: object) -> Told:
    return await Gateway(Scripted(said)).ask("POST", "/v1/purchases/t/void", {"account_id": "a-1"})


@pytest.mark.parametrize(("result", "status"), [("applied", 200), ("waiting", 202)])
async def test_a_settlement_is_told_with_what_it_did(result: str, status: int) -> None:
    told = await void(settled(status=result, released=1_999, currency="CNY"))
    assert (told.status, told.json["released"]) == (status, 1_999)


async def test_a_settlement_that_is_not_possible_is_told_with_its_code() -> None:
    problem = assert_problem(
        await void(settled(status="refused", code="already_captured", state="captured", captured=5)),
        409,
        "settlement-refused",
        "the void was refused: already_captured; the purchase is captured",
    )
    assert (problem["code"], problem["result"]["captured"]) == ("already_captured", 5)
    problem = assert_problem(
        await void(settled(status="refused", code="unknown_transaction")), 404, "unknown-transaction"
    )
    assert problem["code"] == "unknown_transaction"


@pytest.mark.parametrize(("reason", "name"), [("no-rate", "no-rate"), ("foreign", "malformed")])
async def test_a_settlement_that_can_not_be_used_is_told_with_the_reason(reason: str, name: str) -> None:
    problem = assert_problem(await void(Refusal(reason, "mend it so")), 422, name, "mend it so")
    assert problem["reason"] == reason


@pytest.mark.parametrize(("header", "deadline_ms"), [(None, 100), ("1", 1), ("060", 60), ("60000", 60_000)])
async def test_the_deadline_runs_from_the_arrival(header: str | None, deadline_ms: int) -> None:
    backend = Scripted(Answer(b"{}", ()))
    gateway = Gateway(backend)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await gateway.ask("POST", "/v1/decisions", BODY, stopbank_deadline_ms=header)
    assert before <= backend.deadlines[0].at_s - deadline_ms / 1000 <= loop.time()


async def test_an_unforeseen_error_tells_nothing_of_the_request(logged: list[Any]) -> None:
    gateway = Gateway(Scripted(RuntimeError("card 12345")))
    told = await gateway.decide(transaction_id="secret-1")
    assert_problem(told, 500, "internal", "tell its operator the request's id")
    assert b"12345" not in told.body
    error, request = logged
    assert (error["event"], error["error"]) == ("request failed", "RuntimeError")
    assert re.search(r"test_edge\.py:\d+$", error["at"])
    assert error["request_id"] == request["request_id"] == told.headers["stopbank-request-id"]
    assert "12345" not in str(logged)
    assert "secret-1" not in str(logged)


async def test_whoever_leaves_before_the_body_is_there_is_noted(logged: list[Any]) -> None:
    gateway = Gateway()
    await gateway.ask("POST", "/v1/decisions", [])
    assert logged[0]["status"] == 499
    assert gateway.measured.requests == [("/v1/decisions", 499)]
    assert gateway.measured.under_way == 0


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    gateway = Gateway(config=EdgeConfig(body_timeout_s=0.01))
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {gateway.shown}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/decisions", "query_string": b"", "headers": headers}
    await gateway.app(scope, receive, send)
    assert sent[0]["status"] == 408


# -- ids, logs and metrics ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stopbank_request_id", "x_request_id"])
async def test_the_callers_request_id_comes_back(gateway: Gateway, name: str) -> None:
    header: dict[str, Any] = {name: "Order-7.x_1"}
    told = await gateway.ask("GET", "/v1/status", **header)
    assert told.headers["stopbank-request-id"] == "Order-7.x_1"


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "ü", "a\nb", VISA, "4111-1111-1111-1111"])
async def test_a_request_id_that_can_not_be_shown_is_replaced(gateway: Gateway, given: str) -> None:
    told = await gateway.ask("GET", "/v1/status", x_request_id=given)
    assert re.fullmatch("[0-9a-f]{32}", told.headers["stopbank-request-id"])


async def test_each_request_is_logged_and_measured_by_its_route(gateway: Gateway, logged: list[Any]) -> None:
    await gateway.decide(transaction_id="secret-1")
    await gateway.ask("GET", "/v1/decisions/secret-1", query=b"account_id=secret-2", x_request_id="r-1")
    await gateway.ask("GET", "/secret-3")
    await gateway.ask("GET", "/v1/status", authorization="Bearer sb_secret_4")
    assert [(line["event"], line["method"], line["route"], line["status"], line["key"]) for line in logged] == [
        ("request", "POST", "/v1/decisions", 200, gateway.shown.id),
        ("request", "GET", "/v1/decisions/{transaction_id}", 404, gateway.shown.id),
        ("request", "GET", "unmatched", 404, None),
        ("request", "GET", "/v1/status", 401, None),
    ]
    assert logged[1]["request_id"] == "r-1"
    assert all(line["latency_ms"] >= 0 for line in logged)
    assert "secret" not in str(logged)
    assert gateway.measured.requests == [(line["route"], line["status"]) for line in logged]
    assert (gateway.measured.under_way, gateway.measured.most_under_way) == (0, 1)
