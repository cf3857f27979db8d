"""Records that can't be used, among good ones on a real broker: each is answered, and none holds up the rest.

A dead letter is the record as it came in, byte for byte: key, value, headers and timestamp; why is in headers
behind the sender's own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from models.decision import Decision, decode_decision
from streams.engine.partitioner import partition_for
from streams.topics import ACCOUNTS, DEAD_LETTERS, DECISIONS, PURCHASES, REPAYMENTS
from tests.integration.line import PARTITIONS, Line

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

RULES = """
ruleset: checkout
rules:
  - {id: account, when: "count(account_id, 10m) > 1000", then: block}
  - {id: device, when: "count(device_id, 10m) > 1000", then: block}
"""
NOW_MS = int(time.time() * 1000)
HOUR_MS = 3_600_000
HEADERS = [
    ("traceparent", b"00-1"),
    ("traceparent", b"00-2"),
    ("étiquette", b"\xff\x00"),
    ("empty", b""),
    ("null", None),
]
ACCOUNT_KEYS = [f"a-{number}".encode() for number in range(6)]

Headers = Sequence[tuple[str, bytes | None]]


class Bad(NamedTuple):
    """A record and the reason for which it is refused."""

    name: str
    reason: str
    value: bytes | None
    topic: str = PURCHASES
    key: bytes | None = b"a-1"
    headers: Headers = HEADERS


def purchase(name: str, **changes: Any) -> bytes:
    fields = {
        "transaction_id": name,
        "account_id": "a-1",
        "amount": 1_000,
        "currency": "CNY",
        "event_time": NOW_MS,
        "merchant_id": "m-1",
        "mcc": "5411",
        "device_id": "d-1",
        **changes,
    }
    return orjson.dumps({field: value for field, value in fields.items() if value is not ...})


BAD_PURCHASES = [
    Bad("no JSON", "malformed", b"not json"),
    Bad("nothing", "malformed", b""),
    Bad("null", "malformed", None),
    Bad("null without a key", "malformed", None, key=None),
    Bad("cut off", "malformed", purchase("t-bad")[:-9]),
    Bad("not UTF-8", "malformed", purchase("t-bad").replace(b"m-1", b"m-\xff")),
    Bad("a lone surrogate", "malformed", purchase("t-bad").replace(b"m-1", b"\\ud800")),
    Bad("an array", "malformed", b"[" + purchase("t-bad") + b"]"),
    Bad("deeply nested", "malformed", b"[" * 20_000 + b"]" * 20_000),
    Bad("no account", "malformed", purchase("t-bad", account_id=...)),
    Bad("a strange field", "malformed", purchase("t-bad", colour="red")),
    Bad("an amount as text", "malformed", purchase("t-bad", amount="1000")),
    Bad("a negative amount", "malformed", purchase("t-bad", amount=-1)),
    Bad("a number without end", "malformed", purchase("t-bad").replace(b"1000", b"9" * 5_000)),
    Bad("a latitude that is no number", "malformed", purchase("t-bad").replace(b'"5411"', b'"5411","location":NaN')),
    Bad("seconds", "malformed", purchase("t-bad", event_time=NOW_MS // 1000)),
    Bad("an unknown currency", "malformed", purchase("t-bad", currency="XXX")),
    Bad("no rate", "no-rate", purchase("t-bad", currency="EUR")),
    Bad("the future", "future", purchase("t-bad", event_time=NOW_MS + HOUR_MS)),
    Bad("large", "oversized", purchase("t-bad", attributes={"note": "x" * 70_000})),
    Bad("as large as the broker takes", "oversized", b"x" * 1_047_000),
    Bad("a foreign key", "malformed", b"{}", key=b"\xff\xfe not text"),
    Bad("an empty key", "malformed", b"{}", key=b""),
    Bad("our own header, forged", "malformed", b"{}", headers=[("stopbank-route", b"[]"), ("dlq-reason", b"x")]),
]
BAD_CREDIT = [
    Bad("no limit", "malformed", b'{"account_id":"a-1"}', ACCOUNTS),
    Bad("null limit", "malformed", None, ACCOUNTS),
    Bad("no repayment", "malformed", b"7", REPAYMENTS),
]


async def send(line: Line, records: Sequence[Bad]) -> None:
    """Write records one after the other, each in a batch of its own: that takes what `send` refuses."""
    producer = AIOKafkaProducer(
        bootstrap_servers=line.bootstrap_servers, max_request_size=2_000_000, max_batch_size=1_500_000
    )
    await producer.start()
    try:
        for record in records:
            batch = producer.create_batch()
            batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
            # A record without a key may lie anywhere.
            partition = partition_for(record.key, PARTITIONS) if record.key is not None else 1
            await (await producer.send_batch(batch, line.topic(record.topic), partition=partition))
    finally:
        await producer.stop()


def good(number: int, **changes: Any) -> Bad:
    """A purchase that is fine, of one of a few accounts, so that every partition sees some."""
    account = ACCOUNT_KEYS[number % len(ACCOUNT_KEYS)]
    value = purchase(f"t-{number}", account_id=account.decode(), **changes)
    return Bad("good", "", value, key=account)


async def originals(line: Line, topic: str) -> Mapping[str, Any]:
    """The records of a topic by where they lie, as dead letters name it."""
    return {f"{topic}-{r.partition}@{r.offset}": r for r in await line.read(topic)}


async def letters_of(line: Line, *topics: str) -> list[tuple[str, Any]]:
    """Each dead letter's reason and the record that it was: all but the reason is held to be the same."""
    came: dict[str, Any] = {}
    for topic in topics:
        came |= await originals(line, topic)
    letters: list[tuple[str, Any]] = []
    for letter in await line.read(DEAD_LETTERS):
        *senders, (reason_name, reason), (detail_name, detail), (source_name, source) = letter.headers
        assert (reason_name, detail_name, source_name) == ("dlq-reason", "dlq-detail", "dlq-source")
        assert detail, "a dead letter says what is wrong"
        original = came[source.decode()]
        assert letter.key == original.key
        assert letter.value == original.value
        assert letter.timestamp == original.timestamp
        assert senders == list(original.headers)
        letters.append((reason.decode(), original))
    return letters


async def decisions_of(line: Line) -> list[Decision]:
    return [decode_decision(record.value) for record in await line.read(DECISIONS)]


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_what_cannot_be_used_is_kept_whole_and_holds_up_nothing(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "bad")
    await line.set_up(RULES)
    bad = [*BAD_PURCHASES, *BAD_CREDIT]
    mixed = [one for number, record in enumerate(bad) for one in (good(number), record)]
    with line.workers(tmp_path) as workers:
        workers.start()
        await send(line, [*mixed, *(good(number) for number in range(len(bad), len(bad) + 12))])
        await line.finish(workers, 60)
        assert workers.stop() == [0], workers.log_text()
    letters = await letters_of(line, PURCHASES, ACCOUNTS, REPAYMENTS)
    assert sorted((reason, original.value or b"") for reason, original in letters) == sorted(
        (record.reason, record.value or b"") for record in bad
    )
    decisions = await decisions_of(line)
    assert sorted(d.transaction_id for d in decisions) == sorted(f"t-{number}" for number in range(len(bad) + 12))
    assert {d.features["count(device_id, 10m)"] for d in decisions} == set(range(1, len(decisions) + 1))


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_repeats_are_answered_alike_conflicts_refused_and_keys_mended(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "again")
    await line.set_up(RULES)
    first = good(1)
    assert first.value is not None
    fields = orjson.loads(first.value)
    rewritten = orjson.dumps(dict(reversed(fields.items())), option=orjson.OPT_INDENT_2)
    other = orjson.dumps({**fields, "amount": 5})
    with line.workers(tmp_path) as workers:
        workers.start()
        await send(line, [first])
        await line.finish(workers, 60)
        await send(
            line,
            [
                first,
                first._replace(value=rewritten, key=b"another account"),
                first._replace(value=other),
                first._replace(value=other, key=b"\xff another key", headers=[]),
                first._replace(value=other, key=None),
                good(2)._replace(key=b"a-5", headers=[]),
                good(3)._replace(key=None),
                good(4, device_id="d-late")._replace(
                    value=purchase("t-4", account_id="a-4", event_time=NOW_MS - 30 * HOUR_MS)
                ),
                good(4 + len(ACCOUNT_KEYS)),
            ],
        )
        await line.finish(workers, 60)
        assert workers.stop() == [0], workers.log_text()
    letters = await letters_of(line, PURCHASES)
    assert sorted((reason, original.key or b"", original.value) for reason, original in letters) == [
        ("conflict", b"", other),
        ("conflict", b"a-1", other),
        ("conflict", b"\xff another key", other),
    ]
    announced = await line.read(DECISIONS)
    answers = [record.value for record in announced if decode_decision(record.value).transaction_id == "t-1"]
    assert len(answers) == 3
    assert len({*answers}) == 1
    for record in announced:
        assert record.key == decode_decision(record.value).account_id.encode()
    decisions = {d.transaction_id: d for d in await decisions_of(line)}
    assert sorted(decisions) == ["t-1", "t-10", "t-2", "t-3", "t-4"]
    late = {transaction for transaction, decision in decisions.items() if decision.late}
    assert late == {"t-4"}, "the first of an account is late where its device has seen newer ones"
    assert decisions["t-10"].features["count(account_id, 10m)"] == 1


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_a_purchase_after_its_time_is_decided_and_marked_late(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "late")
    await line.set_up(RULES)
    with line.workers(tmp_path) as workers:
        workers.start()
        await send(line, [good(1)])
        await line.finish(workers, 60)
        await send(line, [good(1)._replace(value=purchase("t-late", event_time=NOW_MS - 25 * HOUR_MS)), good(7)])
        await line.finish(workers, 60)
    decisions = {d.transaction_id: d for d in await decisions_of(line)}
    assert {name: d.late for name, d in decisions.items()} == {"t-1": False, "t-late": True, "t-7": False}
    assert decisions["t-late"].features == {"count(account_id, 10m)": 1, "count(device_id, 10m)": 1}
    assert decisions["t-7"].features == {"count(account_id, 10m)": 2, "count(device_id, 10m)": 2}
    assert not await line.read(DEAD_LETTERS)
