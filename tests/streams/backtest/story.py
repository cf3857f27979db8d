"""A small recording whose figures can be worked out by hand, and two rulesets to judge it by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from rules.fold import Record
from rules.language.compile import compile_ruleset
from streams.recording.manifest import Manifest, TopicEntry
from streams.recording.reader import Recording
from streams.recording.writer import RecordingWriter

# Monday 2026-03-02, 14:00 in Shanghai.
START_MS: Final = 1_772_431_200_000
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000

OLD: Final = """
ruleset: checkout
currency: CNY
rules:
  - {id: large, when: amount > 50.00, then: flag}
  - {id: burst, when: "count(account_id, 1h) > 2", then: block}
"""
NEW: Final = """
ruleset: checkout
currency: CNY
rules:
  - {id: large, when: amount > 100.00, then: block}
  - {id: burst, when: "count(account_id, 1h) > 1", then: flag}
  - {id: trial, when: amount > 10.00, then: flag, mode: shadow}
"""

# Number, account, amount, minutes after the start, and label. By hand, old and new:
PURCHASES: Final = (
    (1, "a-1", 2_000, 0, "genuine"),  # approve, approve (trial)
    (2, "a-1", 6_000, 10, "fraud"),  # flag (large), flag (burst, trial)
    (3, "a-1", 500, 20, None),  # block (burst), flag (burst)
    (4, "a-2", 12_000, 7 * 1440, "chargeback"),  # flag (large), block (large, trial)
    (5, "a-2", 12_000, 7 * 1440 + 120, "genuine"),  # flag (large), block (large, trial)
    (6, "a-3", 8_000, 10 * 1440, "fraud"),  # flag (large), approve (trial)
    (7, "a-4", 20_000, 80 * 1440, "fraud"),  # flag (large), block (large, trial)
    (8, "a-5", 100, 80 * 1440 + 1, None),  # approve, approve
)


def purchase(number: int, account_id: str, amount: int, minutes: int, **changes: object) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "account_id": account_id,
        "amount": amount,
        "currency": "CNY",
        "event_time": START_MS + minutes * MINUTE_MS,
        "merchant_id": "m-1",
        "mcc": "5411",
        **changes,
    }


def record_story(
    directory: Path, *, labels: bool = True, only_fraud: bool = False, rulesets: tuple[str, ...] = (OLD,)
) -> Recording:
    """The purchases above; a repeat, a conflict, one that is malformed, one without a rate; labels and rulesets."""
    topics = {"purchases": 1, "assessments": 2}
    if labels:
        topics["labels"] = 1
    if rulesets:
        topics["rulesets"] = 1
    entries = {topic: TopicEntry(begin_offsets=[0] * count, dense=True) for topic, count in topics.items()}
    manifest = Manifest(created_ms=0, ruleset="checkout", max_ahead_ms=300_000, topics=entries)
    writer = RecordingWriter.create(str(directory), manifest)

    def put(topic: str, value: object, at_ms: int, key: str = "") -> None:
        raw = value if isinstance(value, bytes) else orjson.dumps(value)
        writer.append(topic, Record(writer.position(topic, 0), at_ms, key.encode(), raw, (), 0))

    for number, account_id, amount, minutes, verdict in PURCHASES:
        sent = purchase(number, account_id, amount, minutes)
        put("purchases", sent, sent["event_time"], account_id)
        if labels and verdict and not (only_fraud and verdict == "genuine"):
            put("labels", label(number, account_id, verdict, minutes + 60), sent["event_time"], account_id)
    put("purchases", purchase(1, "a-1", 2_000, 0), START_MS + 30)
    put("purchases", purchase(2, "a-1", 6_001, 10), START_MS + 10 * MINUTE_MS + 30)
    put("purchases", b"{}", START_MS)
    put("purchases", purchase(9, "a-9", 100, 30, currency="EUR"), START_MS + 30 * MINUTE_MS)
    for number, source in enumerate(rulesets):
        compiled = compile_ruleset(source)
        entry = {"version": compiled.version, "at_ms": START_MS + number, "by": "team"}
        put("rulesets", {"source": source}, START_MS + number, f"checkout@{compiled.version}")
        put("rulesets", {"version": compiled.version, "history": [entry]}, START_MS + number, "checkout")
    writer.commit()
    return Recording.open(str(directory))


def label(number: int, account_id: str, verdict: str, minutes: int) -> dict[str, Any]:
    return {
        "transaction_id": f"t-{number}",
        "account_id": account_id,
        "verdict": verdict,
        "event_time": START_MS + minutes * MINUTE_MS,
    }
