"""Card numbers are refused, and nothing of them is told, logged or handed on."""

from __future__ import annotations

import logging
from typing import Any

import orjson
import pytest

from tests.streams.gateway.conftest import Gateway, purchase
from tests.streams.gateway.memory import MemoryBackend
from tests.streams.gateway.test_edge import assert_problem

VISA = "4111111111111111"
PARTED = "4111 1111 1111 1111"
BODIES: list[tuple[bytes, str]] = [
    *[
        (orjson.dumps(purchase(**{field: VISA})), field)
        for field in ("transaction_id", "account_id", "merchant_id", "card_id", "device_id", "channel", "mcc", "ip")
    ],
    (orjson.dumps(purchase(card_id=PARTED)), "card_id"),
    (orjson.dumps(purchase(card_id="4111-1111-1111-1111")), "card_id"),
    (orjson.dumps(purchase(amount=int(VISA))), "amount"),
    (orjson.dumps(purchase(amount=float(VISA))), "amount"),
    (orjson.dumps(purchase(attributes={"note": f"card {PARTED} 12/27"})), "attributes.note"),
    (orjson.dumps(purchase(attributes={"note": int(VISA)})), "attributes.note"),
    (orjson.dumps(purchase(attributes={VISA: 1})), "a field's name in attributes"),
    (orjson.dumps(purchase(attributes={"a": [{"b": VISA}]})), "attributes.a.0.b"),
    (orjson.dumps(purchase(**{VISA: 1})), "a field's name"),
    (orjson.dumps(purchase(pan=VISA)), "pan"),
    (orjson.dumps([VISA]), "0"),
    (orjson.dumps(VISA), "the record"),
    (VISA.encode(), "the record"),
    (orjson.dumps(purchase()).replace(b'"t-1"', b'"\\u0034111111111111111"'), "transaction_id"),
    (orjson.dumps(purchase()).replace(b"1999", b"4.111111111111111e15"), "amount"),
]


def assert_untold(told: bytes, gateway: Gateway, caplog: pytest.LogCaptureFixture, out: str) -> None:
    """The number is nowhere."""
    assert isinstance(gateway.backend, MemoryBackend)
    assert not gateway.backend.line.written
    for where in (told.decode(), str(gateway.measured.requests), caplog.text, out):
        assert not any(part in where for part in ("1111111", "1111 1111", "1111-1111"))


@pytest.mark.parametrize(("body", "field"), BODIES)
async def test_a_card_number_in_a_body_is_refused(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], body: bytes, field: str
) -> None:
    caplog.set_level(logging.DEBUG)
    told = await gateway.ask("POST", "/v1/decisions", body, x_request_id=VISA)
    problem = assert_problem(told, 422, "card-number", f"{field} holds 13 to 19 digits that pass the Luhn check")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert_untold(told.body + str(told.headers).encode(), gateway, caplog, "".join(capfd.readouterr()))


@pytest.mark.parametrize(
    ("method", "path", "query", "where"),
    [
        ("GET", f"/v1/decisions/{VISA}", b"", "the path"),
        ("GET", f"/v1/decisions/x-{PARTED}", b"", "the path"),
        ("POST", f"/v1/purchases/{VISA}/void", b"", "the path"),
        ("GET", "/v1/decisions/t-1", b"account_id=" + VISA.encode(), "the query"),
        ("GET", "/v1/decisions/t-1", b"account_id=4111+1111%201111%2d1111", "the query"),
        ("GET", "/v1/decisions/t-1", VISA.encode(), "the query"),
        ("GET", "/v1/status", b"a=" + VISA.encode(), "the query"),
    ],
)
async def test_a_card_number_in_a_path_or_query_is_refused(
    gateway: Gateway,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    method: str,
    path: str,
    query: bytes,
    where: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    told = await gateway.ask(method, path, b'{"account_id":"a-1"}', query=query)
    assert_problem(told, 422, "card-number", where)
    assert_untold(told.body, gateway, caplog, "".join(capfd.readouterr()))


@pytest.mark.parametrize("path", [f"/{VISA}", f"/v1/{VISA}/x", f"/v1/purchases/{VISA}/expire"])
async def test_a_card_number_at_an_unknown_path_is_told_nowhere(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    caplog.set_level(logging.DEBUG)
    told = await gateway.ask("GET", path)
    assert told.status == 404
    assert_untold(told.body, gateway, caplog, "".join(capfd.readouterr()))


async def test_a_number_that_another_field_of_the_same_name_hides_is_not_written(gateway: Gateway) -> None:
    body = orjson.dumps(purchase()).replace(b'"t-1"', b'"' + VISA.encode() + b'","transaction_id":"t-1"')
    attributes = b'{"note":"' + VISA.encode() + b'","note":"x"}'
    body = body[:-1] + b',"attributes":' + attributes + b"}"
    assert body.count(VISA.encode()) == 2
    told = await gateway.ask("POST", "/v1/decisions", body)
    assert told.status == 200
    assert isinstance(gateway.backend, MemoryBackend)
    written: list[Any] = [output for outputs in gateway.backend.line.written.values() for output in outputs]
    assert written
    assert not any(VISA.encode() in (output.value or b"") for output in written)


async def test_common_ids_are_no_card_numbers(gateway: Gateway) -> None:
    told = await gateway.decide(
        transaction_id="0192f5a0-7c1e-7abc-8def-012345678901",
        device_id="00000000-0000-4000-8000-000000000000",
        card_id="c" * 32 + "4" * 32,
        location={"lat": 31.230416123456789, "lon": -121.47370212345678},
    )
    assert told.status == 200
