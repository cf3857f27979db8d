"""Replies: whoever asks for one gets it on its partition, whatever becomes of the record; nobody else does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from rules.fold import Headers, Record
from rules.language.compile import compile_ruleset
from rules.reply import Reply, read_reply, reply_to, reply_to_header
from tests.memory import MemoryLine
from tests.models.records import PURCHASE

NOW_MS = PURCHASE["event_time"] + 1_000
RULES = """
ruleset: checkout
currency: CNY
rules:
  - {id: burst, when: "count(account_id, 10m) > 2", then: block}
"""
STATIONED = RULES + """  - {id: device, when: "count(device_id, 1h) > 3", then: flag}\n"""


class Asking:
    """A line, and what it replied on each partition."""

    def __init__(self, rules: str = RULES) -> None:
        self.line = MemoryLine(compile_ruleset(rules), partitions=4)

    def ask(self, topic: str, value: object, partition: int, reply_id: str, key: bytes | None = b"a-1") -> None:
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        self.line.send(topic, key, raw, NOW_MS, (reply_to_header(partition, reply_id),))

    def replies(self, partition: int) -> list[Reply]:
        return [reply for record in self.line.topics["replies"][partition] if (reply := read_reply(record))]

    def decisions(self) -> list[bytes]:
        return [output.value or b"" for output in self.line.written["decisions"]]


@pytest.mark.parametrize("rules", [RULES, STATIONED])
def test_a_decision_is_replied_on_the_partition_that_asked_and_the_repeat_elsewhere_gets_the_same(rules: str) -> None:
    asking = Asking(rules)
    purchase = {**PURCHASE, "device_id": "d-1"}
    asking.ask("purchases", purchase, 3, "one")
    asking.ask("purchases", purchase, 1, "two")
    (text, again) = asking.decisions()
    assert text == again
    assert asking.replies(3) == [Reply("one", "decision", text)]
    assert asking.replies(1) == [Reply("two", "decision", text)]
    assert asking.replies(0) == asking.replies(2) == []


def test_nobody_is_replied_to_who_did_not_ask() -> None:
    asking = Asking()
    asking.line.send("purchases", b"a-1", orjson.dumps(PURCHASE), NOW_MS)
    assert len(asking.decisions()) == 1
    assert not asking.line.written["replies"]


@pytest.mark.parametrize(
    ("rules", "key"), [(RULES, b"a-1"), (RULES, None), (STATIONED, b"a-1")], ids=["in a bundle", "alone", "on its way"]
)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({**PURCHASE, "event_time": NOW_MS + 3_600_000}, "future"),
        ({**PURCHASE, "currency": "EUR"}, "no-rate"),
        ({**PURCHASE, "amount": 0}, "malformed"),
        (b"x" * 70_000, "oversized"),
    ],
)
def test_who_asks_about_what_is_refused_is_told_why(value: object, reason: str, rules: str, key: bytes | None) -> None:
    asking = Asking(rules)
    asking.ask("purchases", value, 2, "one", key)
    (letter,) = asking.line.written["purchases.dlq"]
    (reply,) = asking.replies(2)
    assert (reply.id, reply.kind) == ("one", "refused")
    assert orjson.loads(reply.value) == {"reason": reason, "detail": dict(letter.headers)["dlq-detail"].decode()}


def test_a_conflict_is_told_with_the_fields_that_differ() -> None:
    asking = Asking()
    asking.ask("purchases", PURCHASE, 0, "one")
    asking.ask("purchases", {**PURCHASE, "amount": 5, "mcc": "5999"}, 0, "two")
    _, conflict = asking.replies(0)
    assert (conflict.id, conflict.kind) == ("two", "conflict")
    told: dict[str, Any] = orjson.loads(conflict.value)
    assert told["fields"] == ["amount", "mcc"]
    assert "amount, mcc differ: give it a new transaction_id" in told["detail"]
    assert len(asking.decisions()) == 1


def test_a_decision_is_told_again_to_who_inquires_by_account_or_by_partition() -> None:
    asking = Asking()
    asking.ask("purchases", PURCHASE, 0, "one")
    asking.ask("inquiries", {"transaction_id": "t-1", "account_id": "a-1"}, 1, "by-account")
    for partition in range(4):
        asking.ask("inquiries", {"transaction_id": "t-1", "partition": partition}, 2, f"p-{partition}", None)
    (text,) = asking.decisions()
    assert asking.replies(1) == [Reply("by-account", "decision", text)]
    by_partition = {reply.id: reply for reply in asking.replies(2)}
    assert len(by_partition) == 4
    known = [reply for reply in by_partition.values() if reply.kind == "decision"]
    assert [reply.value for reply in known] == [text]
    for number in range(4):
        reply = by_partition[f"p-{number}"]
        assert reply in known or (reply.kind, orjson.loads(reply.value)) == ("unknown", {"partition": number})


def test_who_inquires_after_what_nobody_sent_is_told_that_it_is_unknown() -> None:
    asking = Asking()
    asking.ask("inquiries", {"transaction_id": "t-9", "account_id": "a-1"}, 1, "one")
    (reply,) = asking.replies(1)
    assert reply.kind == "unknown"


def test_an_inquiry_that_cannot_be_read_is_refused() -> None:
    asking = Asking()
    asking.ask("inquiries", {"transaction_id": "t-9"}, 1, "one")
    (reply,) = asking.replies(1)
    assert (reply.kind, orjson.loads(reply.value)["reason"]) == ("refused", "malformed")


@pytest.mark.parametrize(
    "value", [b"", b"replies", b"replies/x/1", b"other/1/one", b"replies/1/" + b"x" * 65, b"replies/1/a b", None]
)
def test_a_header_that_says_nowhere_asks_for_nothing(value: bytes | None) -> None:
    headers: Headers = (("stopbank-reply-to", value),)  # pyright: ignore[reportAssignmentType]  # Kafka has null headers
    assert reply_to(headers) is None


def test_what_others_write_to_the_replies_is_none() -> None:
    assert read_reply(Record(0, 0, None, b"hello")) is None
