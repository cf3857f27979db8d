"""The client against a real HTTP server: what it sends, and what it makes of each answer."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from models.purchase import decode_purchase
from rules.degraded import TIERS as TIERS_OF_ANSWERS
from streams.client import (
    ConflictError,
    NotFoundError,
    ProblemError,
    RefusedError,
    StopbankClient,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)
from streams.client.answers import TIERS
from tests.streams.client.scripted import (
    MADE,
    Reply,
    ScriptedGateway,
    decision_text,
    problem_text,
    result_text,
    serving,
)

# Long, so that a machine that stands still for a moment changes no outcome.
PATIENT = {"deadline_ms": 20_000, "grace_ms": 20_000}


def client(*gateways: ScriptedGateway, **options: Any) -> StopbankClient:
    settings: dict[str, Any] = {**PATIENT, **options}
    return StopbankClient([each.url for each in gateways], "sb_k1_secret", **settings)


async def test_a_purchase_is_sent_whole_with_key_and_deadline_and_its_decision_comes_back() -> None:
    async with serving() as gateway, client(gateway) as asked:
        answer = await asked.decide(MADE)
    (seen,) = gateway.seen
    assert (seen.method, seen.path) == ("POST", "/v1/decisions")
    assert decode_purchase(seen.body) == MADE
    assert seen.headers["Authorization"] == "Bearer sb_k1_secret"
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.headers["Stopbank-Deadline-Ms"] == "20000"
    assert answer.decision.action == "approve"
    assert (answer.degraded, answer.tier, answer.cause) == (False, None, None)
    assert (answer.attempt, answer.request_id, answer.url) == (1, "r-1", gateway.url)


async def test_a_degraded_answer_says_its_tier_and_its_cause() -> None:
    reply = Reply(body=decision_text("flag", ("stateless-rules", "breaker-open")))
    async with serving(ScriptedGateway(reply)) as gateway, client(gateway) as asked:
        answer = await asked.decide(MADE)
    assert (answer.degraded, answer.tier, answer.cause) == (True, "stateless-rules", "breaker-open")


async def test_a_full_decision_without_the_account_s_credit_is_not_degraded() -> None:
    reply = Reply(body=decision_text("approve", ("credit-unknown",)))
    async with serving(ScriptedGateway(reply)) as gateway, client(gateway) as asked:
        answer = await asked.decide(MADE)
    assert (answer.degraded, answer.tier, answer.cause) == (False, None, None)
    assert answer.decision.degraded == ["credit-unknown"]


def test_the_client_knows_the_tiers() -> None:
    assert frozenset(TIERS_OF_ANSWERS) == TIERS


async def test_requests_share_a_connection() -> None:
    async with serving() as gateway, client(gateway) as asked:
        for _ in range(5):
            await asked.decide(MADE)
    assert len({seen.peer for seen in gateway.seen}) == 1


async def test_one_request_may_have_a_deadline_of_its_own() -> None:
    async with serving() as gateway, client(gateway) as asked:
        await asked.decide(MADE, deadline_ms=15_000)
    assert gateway.seen[0].headers["Stopbank-Deadline-Ms"] == "15000"


async def test_gateways_are_asked_in_turn() -> None:
    async with serving() as one, serving() as two, client(one, two) as asked:
        for _ in range(6):
            await asked.decide(MADE)
    assert (len(one.seen), len(two.seen)) == (3, 3)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (401, UnauthorizedError),
        (403, UnauthorizedError),
        (404, NotFoundError),
        (409, ConflictError),
        (413, RefusedError),
        (415, RefusedError),
        (422, RefusedError),
        (429, TooManyRequestsError),
    ],
)
async def test_a_refusal_is_an_exception_of_its_kind_and_not_sent_again(status: int, kind: type[ProblemError]) -> None:
    reply = Reply(status, problem_text(status, instance="r-9"))
    async with (
        serving(ScriptedGateway(reply)) as one,
        serving(ScriptedGateway(reply)) as two,
        client(one, two) as asked,
    ):
        with pytest.raises(kind) as caught:
            await asked.decide(MADE)
    assert type(caught.value) is kind
    assert (caught.value.problem.status, caught.value.problem.instance) == (status, "r-9")
    assert len(one.seen) + len(two.seen) == 1


async def test_a_conflict_names_the_fields_that_differ() -> None:
    reply = Reply(409, problem_text(409, fields=["amount", "mcc"]))
    async with serving(ScriptedGateway(reply)) as gateway, client(gateway) as asked:
        with pytest.raises(ConflictError) as caught:
            await asked.decide(MADE)
    assert caught.value.fields == ("amount", "mcc")


async def test_a_refused_purchase_names_the_field_and_what_is_wrong_with_it() -> None:
    body = problem_text(422, type="urn:stopbank:problem:invalid", errors=[{"field": "mcc", "detail": "is no code"}])
    async with serving(ScriptedGateway(Reply(422, body))) as gateway, client(gateway) as asked:
        with pytest.raises(RefusedError, match="422 urn:stopbank:problem:invalid: told; mcc: is no code"):
            await asked.decide(MADE)


@pytest.mark.parametrize(("said", "wait_s"), [("7", 7.0), ("0.5", 0.5), ("soon", 1.0), (None, 1.0)])
async def test_too_many_requests_say_when_to_come_back(said: str | None, wait_s: float) -> None:
    reply = Reply(429, problem_text(429), {} if said is None else {"Retry-After": said})
    async with serving(ScriptedGateway(reply)) as gateway, client(gateway) as asked:
        with pytest.raises(TooManyRequestsError) as caught:
            await asked.decide(MADE)
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize("body", [b"<html>no</html>", b"[]", b"", b'{"errors": [1], "fields": 3, "title": {}}'])
async def test_a_refusal_by_a_proxy_that_knows_no_problems_is_one_all_the_same(body: bytes) -> None:
    async with serving(ScriptedGateway(Reply(403, body))) as gateway, client(gateway) as asked:
        with pytest.raises(UnauthorizedError, match="403 about:blank: refused without a reason"):
            await asked.decide(MADE)


async def test_a_decision_is_looked_up_with_its_account_and_none_where_none_is_known() -> None:
    unknown = Reply(404, problem_text(404, type="urn:stopbank:problem:unknown-transaction"))
    gateway = ScriptedGateway(script=[Reply(), unknown, Reply(body=decision_text(transaction_id="t/ä"))])
    async with serving(gateway), client(gateway) as asked:
        found = await asked.look_up("t-1", "a&1")
        assert found is not None
        assert found.decision.transaction_id == "t-1"
        assert await asked.look_up("t-2") is None
        assert await asked.look_up("t/ä") is not None
    assert [seen.path for seen in gateway.seen] == [
        "/v1/decisions/t-1?account_id=a%261",
        "/v1/decisions/t-2",
        "/v1/decisions/t%2F%C3%A4",
    ]


async def test_an_address_that_is_no_gateway_s_is_not_taken_for_an_unknown_transaction() -> None:
    async with serving(ScriptedGateway(Reply(404, b"not here"))) as gateway, client(gateway) as asked:
        with pytest.raises(NotFoundError):
            await asked.look_up("t-1")


async def test_captures_voids_and_refunds_are_sent_with_what_was_given_and_the_time() -> None:
    gateway = ScriptedGateway(Reply(body=result_text()))
    async with serving(gateway), client(gateway) as asked:
        captured = await asked.capture("t-1", "a-1", amount=500, currency="CNY")
        await asked.void("t-1", "a-1", event_time=1_772_431_200_000)
        await asked.refund("t-1", "a-1", "f-1")
    assert (captured.result.status, captured.result.captured) == ("applied", 1999)
    sent = [orjson.loads(seen.body) for seen in gateway.seen]
    assert [re.sub(".*/", "", seen.path) for seen in gateway.seen] == ["capture", "void", "refund"]
    assert sent[0].pop("event_time") > 1_772_431_200_000
    assert sent[0] == {"account_id": "a-1", "amount": 500, "currency": "CNY"}
    assert sent[1] == {"account_id": "a-1", "event_time": 1_772_431_200_000}
    assert sent[2].keys() == {"account_id", "refund_id", "event_time"}


async def test_a_settlement_that_is_kept_and_not_answered_yet_is_waiting() -> None:
    gateway = ScriptedGateway(script=[Reply(202, result_text("waiting")), Reply(200, result_text())])
    async with serving(gateway), client(gateway) as asked:
        first, second = [await asked.capture("t-1", "a-1") for _ in range(2)]
    assert [(each.applied, each.result.status) for each in (first, second)] == [(False, "waiting"), (True, "applied")]


@pytest.mark.parametrize("body", [b"{}", result_text(transaction_id="t-2")])
async def test_what_is_no_result_of_the_settlement_is_not_taken_for_one(body: bytes) -> None:
    async with serving(ScriptedGateway(Reply(body=body))) as gateway, client(gateway) as asked:
        with pytest.raises(UnavailableError):
            await asked.capture("t-1", "a-1")


async def test_a_settlement_that_does_not_fit_is_a_conflict_with_its_code() -> None:
    gateway = ScriptedGateway(Reply(409, problem_text(409, code="expired")))
    async with serving(gateway), client(gateway) as asked:
        with pytest.raises(ConflictError) as caught:
            await asked.capture("t-1", "a-1")
    assert caught.value.code == "expired"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"urls": []}, "urls"),
        ({"urls": "http://127.0.0.1:8080"}, "urls"),
        ({"urls": ["127.0.0.1:8080"]}, "urls"),
        ({"urls": ["http://127.0.0.1:8080?a=b"]}, "urls"),
        ({"key": ""}, "key"),
        ({"key": "sb_1_a\r\nX: y"}, "key"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"deadline_ms": 60_001}, "deadline_ms"),
        ({"hedge_after_ms": -1}, "hedge_after_ms"),
        ({"grace_ms": -1}, "grace_ms"),
    ],
)
def test_settings_that_can_not_be_used_are_named(changed: dict[str, Any], named: str) -> None:
    settings: dict[str, Any] = {"urls": ["http://127.0.0.1:8080"], "key": "sb_1_a", **changed}
    with pytest.raises(ValueError, match=f"{named}.*: ") as caught:
        StopbankClient(**settings)
    assert "sb_1_a" not in str(caught.value)


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await StopbankClient(["http://127.0.0.1:1"], "sb_1_a").decide(MADE)


async def test_where_nobody_listens_both_attempts_are_told() -> None:
    async with serving() as gone:
        url = gone.url
    async with StopbankClient([url], "sb_1_a") as asked:
        with pytest.raises(UnavailableError) as caught:
            await asked.decide(MADE)
    assert len(caught.value.attempts) == 2
    assert all(url in attempt for attempt in caught.value.attempts)
    assert "sb_1_a" not in str(caught.value)
