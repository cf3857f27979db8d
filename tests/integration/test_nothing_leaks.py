"""Card numbers, secrets and ids: after traffic that is full of them, no topic, log or metric holds what it must not."""

from __future__ import annotations

import asyncio
import re
import socket
import time
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest
from yarl import URL

from streams.broker.broker import HOST, free_port
from streams.clients import admin_client
from streams.gateway.api_key import KeyScope
from streams.gateway.key_file import KeyFile, new_key
from tests.integration.cluster import read_topic
from tests.integration.commands import fetched
from tests.integration.conftest import Tell
from tests.integration.gateways import Gateway, Gateways
from tests.integration.line import Line

RULES = """
ruleset: checkout
currency: CNY
rules:
  - {id: dear, when: amount > 900.00, then: block}
  - {id: account-burst, when: "count(account_id, 10m) > 4", then: flag}
  - {id: device-burst, when: "count(device_id, 10m) > 4", then: flag}
"""
GOOD = 60
# What names a customer, a card or a device: on topics it belongs, in logs and metrics it does not.
ACCOUNT, CARD, DEVICE = "acct-confidential", "card-confidential", "device-confidential"
# What is not read may hold what it likes, and goes nowhere; of a key that comes twice, the last is read.
MAY_PASS = ("header", "duplicate key")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_SEPARATORS = re.compile(r"[\s+-]|%20|%2[dD]")


class Card(NamedTuple):
    """A card number that was sent, and where."""

    where: str
    digits: str


class Request(NamedTuple):
    """A request as it is sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


def luhn_completed(digits: str) -> str:
    """The digits and their check digit."""
    doubled = [int(digit) * (2 if number % 2 == 0 else 1) for number, digit in enumerate(reversed(digits))]
    total = sum(value - 9 if value > 9 else value for value in doubled)
    return digits + str(-total % 10)


class Wallet:
    """Card numbers, each another one and of another length, written down as they are used."""

    def __init__(self) -> None:
        self.cards: list[Card] = []

    def card(self, where: str) -> str:
        number = len(self.cards)
        digits = luhn_completed(f"4{number:03d}70071".ljust(12 + number % 7, "3"))
        self.cards.append(Card(where, digits))
        return digits

    def spaced(self, where: str, separator: str = " ") -> str:
        digits = self.card(where)
        return separator.join(digits[at : at + 4] for at in range(0, len(digits), 4))

    def full_width(self, where: str) -> str:
        return "".join(chr(ord(digit) + 0xFEE0) for digit in self.card(where))


def purchase(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "account_id": f"{ACCOUNT}-{number % 9}",
        "amount": 1_000 + 3_000 * (number % 50),
        "currency": "CNY",
        "event_time": int(time.time() * 1000),
        "merchant_id": "m-1",
        "mcc": "5411",
        "card_id": f"{CARD}-{number % 9}",
        "device_id": f"{DEVICE}-{number % 9}",
        **changed,
    }


def bodies(wallet: Wallet) -> Iterator[bytes]:
    """Purchases with a card number somewhere, and bodies that are none with one in it."""
    for field in ("transaction_id", "account_id", "merchant_id", "card_id", "device_id", "channel", "ip", "country"):
        yield orjson.dumps(purchase(100, **{field: wallet.card(field)}))
        yield orjson.dumps(purchase(101, **{field: wallet.spaced(f"{field}, spaced")}))
        yield orjson.dumps(purchase(102, **{field: wallet.spaced(f"{field}, with dashes", "-")}))
        yield orjson.dumps(purchase(103, **{field: f"x{wallet.card(f'{field}, within')}y"}))
    for field in ("currency", "mcc", "amount", "location", "instalments"):
        yield orjson.dumps(purchase(104, **{field: wallet.card(field)}))
        yield orjson.dumps(purchase(105, **{field: int(wallet.card(f"{field}, a number"))}))
    yield orjson.dumps(purchase(106, card_id=wallet.full_width("card_id, full width")))
    yield orjson.dumps(purchase(107, attributes={"note": wallet.card("attribute")}))
    yield orjson.dumps(purchase(108, attributes={"note": int(wallet.card("attribute, a number"))}))
    yield orjson.dumps(purchase(109, attributes={wallet.card("attribute's name"): "x"}))
    yield orjson.dumps(purchase(110, **{wallet.card("unknown field's name"): 1}))
    yield orjson.dumps(purchase(111, unknown=wallet.card("unknown field")))
    yield orjson.dumps(purchase(112, attributes={"note": {"deep": [wallet.card("nested")]}}))
    yield orjson.dumps(purchase(113)).replace(b"{", b'{"card_id":"' + wallet.card("duplicate key").encode() + b'",', 1)
    yield orjson.dumps(purchase(114, event_time=wallet.card("event_time, as text")))
    yield b'{"card_id": "' + wallet.card("broken JSON").encode()
    yield wallet.card("no object").encode()
    yield b"\xff" + wallet.card("no UTF-8").encode()
    yield orjson.dumps([wallet.card("a list")])


def requests(wallet: Wallet, key: str) -> Iterator[Request]:
    """All requests with card numbers in body, path, query and headers."""
    allowed = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for body in bodies(wallet):
        yield Request("POST", "/v1/decisions", allowed, body)
    for name in ("X-Request-Id", "Stopbank-Request-Id", "Stopbank-Deadline-Ms", "Idempotency-Key", "User-Agent"):
        headers = {**allowed, name: wallet.card(f"header {name}")}
        yield Request("POST", "/v1/decisions", headers, orjson.dumps(purchase(120 + len(name))))
    for name, value in (("Authorization", f"Bearer {wallet.card('as a key')}"), ("Content-Type", wallet.card("type"))):
        yield Request("POST", "/v1/decisions", {**allowed, name: value}, orjson.dumps(purchase(150)))
    yield Request("GET", f"/v1/decisions/{wallet.card('path')}", allowed, None)
    yield Request("GET", f"/v1/decisions/{wallet.spaced('path, spaced', '%20')}", allowed, None)
    yield Request("GET", f"/v1/decisions/t-1?account_id={wallet.card('query')}", allowed, None)
    yield Request("GET", f"/v1/decisions/t-1?{wallet.card('name in the query')}=1", allowed, None)
    yield Request("GET", f"/{wallet.card('unknown path')}", allowed, None)
    yield Request(wallet.card("method"), "/v1/decisions", allowed, None)
    for kind in ("capture", "void", "refund"):
        settled = {"account_id": f"{ACCOUNT}-1", "refund_id": "r-1"} if kind == "refund" else {"account_id": ACCOUNT}
        yield Request("POST", f"/v1/purchases/{wallet.card(f'{kind} path')}/{kind}", allowed, orjson.dumps(settled))
        for field in ("account_id", "refund_id", "amount", "currency", "unknown"):
            body = orjson.dumps({**settled, field: wallet.card(f"{kind} {field}")})
            yield Request("POST", f"/v1/purchases/t-1/{kind}", allowed, body)


async def send(session: aiohttp.ClientSession, gateway: Gateway, request: Request) -> tuple[int, bytes]:
    url = URL(gateway.url + request.path, encoded=True)
    async with session.request(request.method, url, headers=request.headers, data=request.body) as response:
        return response.status, await response.read() + repr(response.raw_headers).encode()


async def shop(session: aiohttp.ClientSession, gateway: Gateway, key: str, first: int) -> list[int]:
    """Good traffic: purchases from a number on, repeats, a conflict, look-ups, settlements; the statuses."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    numbers = range(first, first + GOOD)
    wanted = [Request("POST", "/v1/decisions", headers, orjson.dumps(purchase(number))) for number in numbers]
    wanted += wanted[:5]
    wanted.append(Request("POST", "/v1/decisions", headers, orjson.dumps(purchase(first, amount=7))))
    wanted.append(Request("POST", "/v1/decisions", headers, orjson.dumps(purchase(first + 900, currency="XAF"))))
    account = orjson.dumps({"account_id": f"{ACCOUNT}-2"})
    wanted.append(Request("GET", f"/v1/decisions/t-2?account_id={ACCOUNT}-2", headers, None))
    wanted.append(Request("GET", "/v1/decisions/nobody-knows", headers, None))
    wanted.append(Request("POST", "/v1/purchases/t-2/capture", headers, account))
    wanted.append(Request("POST", "/v1/purchases/nobody-knows/void", headers, account))
    return [(await send(session, gateway, request))[0] for request in wanted]


def garbled(gateway: Gateway, wallet: Wallet) -> None:
    """What is not even HTTP."""
    with socket.create_connection((HOST, gateway.port), timeout=5) as connection:
        connection.sendall(f"{wallet.card('no HTTP')} {ACCOUNT}\r\n\r\n".encode())
        connection.recv(1_000)


def plain(text: bytes) -> str:
    """A text with its escapes undone, digits of all scripts as digits, and nothing between them."""
    unescaped = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text.decode(errors="replace"))
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", unescaped))


def held(texts: Iterable[tuple[str, bytes]], wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Which of the wanted texts are in which of these."""
    forms = [(name, text, plain(text)) for name, text in texts]
    return [
        f"{name} holds {what}: {needle}"
        for what, needle in wanted
        for name, text, plainly in forms
        if needle in plainly or needle.encode() in text
    ]


async def topics_of(line: Line) -> list[tuple[str, bytes]]:
    """Every record of every topic of the line: key, value and headers."""
    async with admin_client(line.settings) as admin:
        names = [name for name in await admin.list_topics() if name.startswith(line.settings.topic_prefix)]
    texts: list[tuple[str, bytes]] = []
    for name in sorted(names):
        for record in await read_topic(line.bootstrap_servers, name):
            headers = b" ".join(each.encode() + b" " + (value or b"") for each, value in record.headers)
            parts = (record.key or b"", record.value or b"", headers)
            texts.append((name.removeprefix(line.settings.topic_prefix), b"\n".join(parts)))
    return texts


def files_in(folder: Path) -> list[tuple[str, bytes]]:
    """The logs of gateways and workers, and the keys file."""
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_no_topic_log_or_metric_holds_a_card_number_or_a_secret(kafka: str, tmp_path: Path, tell: Tell) -> None:
    line, wallet, probes = Line(kafka, "leaks"), Wallet(), free_port()
    probed = {"STOPBANK_HTTP_HOST": HOST, "STOPBANK_HTTP_PORT": str(probes)}
    await line.set_up(RULES)
    with line.workers(tmp_path, **probed) as workers, Gateways(line, tmp_path) as gateways:
        gateway, key = await gateways.started(), str(gateways.shown)
        wrong = key[:-6] + "wrong0"
        kept, narrow = new_key([KeyScope.ADMIN], datetime.now(UTC))
        KeyFile(gateways.keys).create(kept)
        async with aiohttp.ClientSession() as session:
            # Nobody decides yet: these are answered in tiers, and recorded.
            assert 503 in await shop(session, gateway, key, first=1_000)
            workers.start()
            await line.finish(workers, 60)
            statuses = await shop(session, gateway, key, first=0)
            assert statuses.count(200) >= GOOD, statuses
            for without in (wrong, str(narrow)):
                assert {401, 403} >= set(await shop(session, gateway, without, first=2_000))
            for request in requests(wallet, key):
                card = wallet.cards[-1]
                status, text = await send(session, gateway, request)
                assert 400 <= status < 500 or (status == 200 and card.where.startswith(MAY_PASS)), (card, status)
                assert not held([("the answer", text)], [card]), text
        await asyncio.to_thread(garbled, gateway, wallet)
        await line.finish(workers, 60)
        metrics = [
            ("the gateway's metrics", fetched(gateway.probes, "/metrics")[1].encode()),
            ("the worker's metrics", fetched(probes, "/metrics")[1].encode()),
        ]
        assert all(b"stopbank_" in text for _, text in metrics)
        assert gateway.stop() == 0
        assert workers.stop() == [0]
    records = await topics_of(line)
    said = files_in(tmp_path)
    assert all(text for _, text in said), "a log is empty: nothing was scanned"
    assert held(records, [("an account", f"{ACCOUNT}-1"), ("a card", f"{CARD}-1")]), "the scan finds nothing at all"
    # An id has no underscore, a secret may.
    secrets = [("a secret", text.split("_", 2)[2]) for text in (key, str(narrow), wrong)]
    assert not held([*records, *said, *metrics], [*wallet.cards, *secrets])
    ids = [("an account", ACCOUNT), ("a card", CARD), ("a device", DEVICE)]
    assert not held([*said, *metrics], [(what, name.replace("-", "")) for what, name in ids] + ids)
    tell(
        f"{len(wallet.cards)} card numbers sent; {len(records)} records, {sum(len(text) for _, text in said)} B of logs"
    )
