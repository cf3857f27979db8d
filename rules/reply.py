"""Replies: what is answered to the gateway that a record came from, on the partition where it listens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from rules.dead_letter import CONFLICT, DEAD_LETTERS, DETAIL_HEADER, REASON_HEADER
from rules.fold import Headers, Output, SourceRecord

REPLIES: Final = "replies"
REPLY_TO_HEADER: Final = "stopbank-reply-to"
ID_HEADER: Final = "stopbank-reply"
KIND_HEADER: Final = "stopbank-reply-kind"

# Kinds of replies: JSON of a Decision; of {"fields", "detail"}; of {"reason", "detail"}; of a SettlementResult;
# of {"partition"}.
DECISION: Final = "decision"
CONFLICTING: Final = "conflict"
REFUSED: Final = "refused"
SETTLED: Final = "settlement"
UNKNOWN: Final = "unknown"

_REPLY_TO: Final = re.compile(rb"replies/([0-9]{1,6})/([A-Za-z0-9_-]{1,64})")


class ReplyTo(NamedTuple):
    """Where a reply is awaited: the partition of replies, and the id that it is told by there."""

    partition: int
    id: bytes


class Reply(NamedTuple):
    """A reply as it arrives; `id` is the one that was asked under."""

    id: str
    kind: str
    value: bytes


def reply_to_header(partition: int, reply_id: str) -> tuple[str, bytes]:
    """The header that asks for a reply; `reply_id` has 1 to 64 characters of A-Z, a-z, 0-9, _ and -."""
    return REPLY_TO_HEADER, f"{REPLIES}/{partition}/{reply_id}".encode()


def reply_to(headers: Headers) -> ReplyTo | None:
    """Where a reply to a record with these headers is awaited; None where nobody waits for one."""
    for name, value in headers:
        if name == REPLY_TO_HEADER:
            found = _REPLY_TO.fullmatch(value or b"")
            return ReplyTo(int(found[1]), found[2]) if found else None
    return None


def reply(to: ReplyTo, kind: str, value: bytes) -> Output:
    """A reply on its way."""
    headers = ((ID_HEADER, to.id), (KIND_HEADER, kind.encode()))
    return Output(REPLIES, None, value, headers, partition=to.partition)


def reply_json(to: ReplyTo, kind: str, value: dict[str, Any]) -> Output:
    """A reply on its way, its value as JSON."""
    return reply(to, kind, orjson.dumps(value))


def read_reply(record: SourceRecord) -> Reply | None:
    """A record of `replies`; None for one that Stopbank did not write."""
    headers = dict(record.headers)
    reply_id, kind = headers.get(ID_HEADER), headers.get(KIND_HEADER)
    if not reply_id or not kind:
        return None
    return Reply(reply_id.decode(errors="replace"), kind.decode(errors="replace"), record.value or b"")


def with_refusals(outputs: Sequence[Output]) -> Sequence[Output]:
    """The outputs and, behind each dead letter of a record that asked for a reply, the reply that refuses it.

    A conflict is not refused here: who finds it names the fields.
    """
    refused = [_refusal(output) for output in outputs if output.topic == DEAD_LETTERS]
    replies = [each for each in refused if each is not None]
    return [*outputs, *replies] if replies else outputs


def _refusal(letter: Output) -> Output | None:
    to = reply_to(letter.headers)
    why = dict(letter.headers)
    reason = why[REASON_HEADER].decode()
    if to is None or reason == CONFLICT:
        return None
    return reply_json(to, REFUSED, {"reason": reason, "detail": why[DETAIL_HEADER].decode()})
