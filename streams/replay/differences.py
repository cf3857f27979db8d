"""Two records field by field, where they are not the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple, cast

import orjson

from rules.fold import Output, Record
from rules.route import ROUTE_HEADER
from streams.differences import ABSENT, differences, shortened
from streams.replay.compare import Verdict


class FieldDifference(NamedTuple):
    """A place in a record, like `reasons[0].observed`, and what is there on each side, as text."""

    path: str
    recorded: str
    replayed: str

    def __str__(self) -> str:
        return f"{self.path}: recorded {self.recorded}, replayed {self.replayed}"


@dataclass(frozen=True)
class Difference:
    """A recorded record that differs from the replayed one, or one that has no counterpart.

    `recorded_at` is where it is recorded, `replayed_from` the source record that the replay made it of; either
    is None where there is none. `about` names the transaction or the account.
    """

    verdict: Verdict
    topic: str
    about: str
    recorded_at: str | None
    replayed_from: str | None
    fields: list[FieldDifference] = field(default_factory=list[FieldDifference])

    def to_json(self) -> dict[str, Any]:
        """As it stands in `--json`."""
        return {**asdict(self), "fields": [each._asdict() for each in self.fields]}


def about(content: Record | Output) -> str:
    """What a record is about: its transaction, where it names one, else its key."""
    try:
        transaction = cast("dict[str, Any]", orjson.loads(content.value or b""))["transaction_id"]
    except (ValueError, TypeError, KeyError):
        return f"key {_text(content.key)}"
    return f"transaction {transaction}"


def fields_between(recorded: Record, replayed: Output) -> list[FieldDifference]:
    """Every place where a recorded and a replayed record differ."""
    found: list[FieldDifference] = []
    if recorded.key != replayed.key:
        found.append(FieldDifference("key", _text(recorded.key), _text(replayed.key)))
    found += _between_bytes("value", recorded.value, replayed.value)
    for number, (ours, theirs) in enumerate(zip_longest(recorded.headers, replayed.headers)):
        if ours == theirs:
            continue
        if ours is None or theirs is None or ours[0] != theirs[0]:
            found.append(FieldDifference(f"headers[{number}]", _header(ours), _header(theirs)))
        elif ours[0] == ROUTE_HEADER:
            found += _between_bytes(f"headers.{ours[0]}", ours[1], theirs[1])
        else:
            found.append(FieldDifference(f"headers.{ours[0]}", _text(ours[1]), _text(theirs[1])))
    return found


def _between_bytes(name: str, recorded: bytes | None, replayed: bytes | None) -> list[FieldDifference]:
    if recorded == replayed:
        return []
    try:
        trees = orjson.loads(recorded or b""), orjson.loads(replayed or b"")
    except ValueError:
        return [FieldDifference(name, _text(recorded), _text(replayed))]
    # A value's fields are named as they are in JSON, without a word for the value itself.
    within = differences(*trees, "" if name == "value" else name)
    inside = [FieldDifference(each.path or "value", each.one, each.other) for each in within]
    return inside or [FieldDifference(f"{name} (the same JSON)", _text(recorded), _text(replayed))]


def _header(header: tuple[str, bytes] | None) -> str:
    return ABSENT if header is None else f"{header[0]}={_text(header[1])}"


def _text(raw: bytes | None) -> str:
    return ABSENT if raw is None else shortened(raw.decode(errors="backslashreplace"))
